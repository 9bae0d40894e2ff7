"""The profile of some training steps."""

import gzip
import json

import pytest

from depthjax.configuring import ConfigError
from depthjax.train import loop, profile
from tests import tiny


def test_a_run_traces_the_given_steps(tmp_path):
  loop.train(tiny.config(steps=5, parallel__devices=1), tmp_path, profile=range(1, 3))
  (trace,) = tmp_path.glob('profile/plugins/profile/*/perfetto_trace.json.gz')
  assert list(trace.parent.glob('*.xplane.pb'))
  events = json.loads(gzip.decompress(trace.read_bytes()))['traceEvents']
  steps = {event['args']['step_num'] for event in events if event.get('name') == 'train'}
  assert steps == {'1', '2'}


def test_a_trace_is_written_if_the_run_ends_before_its_last_step(tmp_path):
  trace = profile.Profile(tmp_path, range(0, 100))
  with trace.step(0):
    pass
  assert not list(tmp_path.rglob('*.xplane.pb'))
  trace.close()
  assert list(tmp_path.rglob('*.xplane.pb'))


def test_steps_are_parsed_like_a_slice():
  assert profile.parse('20:25') == range(20, 25) and len(profile.parse('')) == 0
  for text in ('3', '5:3', '3:3', '-1:3', 'a:b', '1:2:3'):
    with pytest.raises(ConfigError, match='START:STOP'):
      profile.parse(text)
