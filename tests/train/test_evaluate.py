"""Evaluation counts each record once, on any devices, and keeps NaN outputs."""

import json
import socket
from concurrent import futures

import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.data.sources import holdout
from depthjax.train import evaluate, log, loop
from depthjax.train import experiment as experiment_lib
from tests import processes as commands
from tests import toy
from tests.data import made

_COUNTS = (1, 3, 7, 11, 64)


@pytest.fixture(name='sources', scope='module')
def fixture_sources(tmp_path_factory):
  root = tmp_path_factory.mktemp('sources')
  return [made.stored(root / str(count), count) for count in _COUNTS]


def evaluated(source, change=lambda state: state, **fields):
  """Scores of the initial state on the split 'test' of a folder."""
  experiment = experiment_lib.build(toy.config(source, **fields))
  state = change(experiment.runner.init(experiment_lib.seed_key(0)))
  return evaluate.evaluate(experiment, state, 'test')


@pytest.fixture(name='expected', scope='module')
def fixture_expected(sources):
  """On one device."""
  return [evaluated(source, parallel__devices=1) for source in sources]


def _assert_close(scores, expected):
  assert scores.examples == expected.examples
  assert scores.means == pytest.approx(expected.means, rel=0, abs=1e-6)


def test_each_record_counts_once_on_any_devices(sources, expected):
  for count, source, one in zip(_COUNTS, sources, expected, strict=True):
    assert (one.examples, one.unreadable, one.nans, one.faults) == (count, 0, {}, '')
    assert one.means['index'] == (count - 1) / 2
    for fields in ({}, {'eval__batch_size': 13}):
      _assert_close(evaluated(source, **fields), one)
  for fields in ({'parallel__mode': 'pmap'}, {'parallel__fsdp': 4}):
    _assert_close(evaluated(sources[1], **fields), expected[1])
  assert evaluated(sources[3], eval__examples=3).means['index'] == 1


def test_the_devices_of_the_training_need_not_exist(sources, expected):
  experiment = evaluate._build(toy.config(sources[1], parallel__devices=24, parallel__fsdp=12))
  state = experiment.runner.init(experiment_lib.seed_key(0))
  _assert_close(evaluate.evaluate(experiment, state, 'test'), expected[1])


def test_a_metric_without_weight_is_left_out_and_nan_output_stays(sources):
  one = evaluated(sources[1])
  assert one.means['even'] != pytest.approx(one.means['error'], rel=1e-3)
  nan = lambda state: state.replace(ema={'params': {'scale': jnp.float32(jnp.nan)}})  # noqa: E731
  found = evaluated(sources[1], nan)
  assert found.nans == {'error': 3, 'even': 2} and np.isnan(found.means['even'])
  assert found.means['index'] == 1
  assert found.faults == 'NaN or infinite output: error in 3, even in 2 of 3 examples'


def test_nan_output_is_null_in_the_log_and_counted(tmp_path, monkeypatch, capsys):
  config = toy.config(made.stored(tmp_path / 'maps', 1), steps=1, batch_size=8)
  scores = evaluate.Scores({'error': np.nan, 'index': 2.0}, 5, 0, {'error': 4})
  monkeypatch.setattr(evaluate, 'evaluate', lambda *_, **__: scores)
  loop.train(config, tmp_path / 'run')
  assert 'step 1  NaN or infinite output: error in 4 of 5 examples' in capsys.readouterr().out
  (line,) = log.read_metrics(tmp_path / 'run', 'eval')
  assert line['error'] is None and line['index'] == 2


def test_unreadable_records_are_counted_and_left_out(tmp_path):
  source = made.stored(tmp_path, 3)
  folder = next(
    path for path in sorted(tmp_path.iterdir()) if holdout.split_of(path.name) == 'test'
  )
  (folder / 'low.npy').write_bytes(b'nothing')
  found = evaluated(source)
  assert (found.examples, found.unreadable, found.means['index']) == (2, 1, 1.5)
  assert found.faults == '1 record(s) cannot be read'


@pytest.mark.parametrize('count', [2, 9, 20])
def test_pictures_are_those_of_the_first_records(sources, count):
  """At most as many as there are records."""
  fields = toy.config(sources[3], eval__pictures=count)
  experiment = experiment_lib.build(fields)
  state = experiment.runner.init(experiment_lib.seed_key(0))
  shown = evaluate.draw(experiment, fields, state, 'test')['low']
  record = next(experiment.batches('test', 0))['low'][0]
  assert shown.shape == (32 * min(count, 11), 32, 1)
  np.testing.assert_array_equal(shown[:32], record)


# Two processes of four devices each.
_PROCESS = """
import json, sys
from depthjax import processes
processes.start(sys.argv[1])
from tests.train import test_evaluate
print(json.dumps([test_evaluate.evaluated(source) for source in sys.argv[2:]]))
"""


@pytest.mark.slow
def test_two_processes_evaluate_like_one(sources, expected):
  with socket.create_server(('127.0.0.1', 0)) as probe:
    address = f'127.0.0.1:{probe.getsockname()[1]}'
  with futures.ThreadPoolExecutor(2) as pool:
    options = {'JAX_NUM_CPU_DEVICES': '4', 'JAX_PLATFORMS': 'cpu'}
    run = lambda i: commands.python(_PROCESS, f'{address},2,{i}', *sources, **options)  # noqa: E731
    done = list(pool.map(run, range(2)))
  assert not any(x.returncode for x in done), done[0].stderr[-3000:]
  for found in (json.loads(x.stdout.splitlines()[-1]) for x in done):
    for scores, one in zip(found, expected, strict=True):
      _assert_close(evaluate.Scores(*scores), one)
