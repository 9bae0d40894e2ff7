"""The recorded config of a run."""

import json

import pytest

from depthjax import configuring
from depthjax.configuring import ConfigError
from depthjax.train import record, resume
from tests import tiny
from tests.messages import refused


@pytest.mark.parametrize('make', [tiny.config, tiny.sddr_config, tiny.depth_config])
def test_a_run_of_an_older_version_can_be_resumed(tmp_path, make):
  """It had no `data.kind` and no names of optimisers and schedules, and other names of tasks."""
  config, path = make(), tmp_path / record.NAME
  table = config.to_dict()
  table['task'] = table['task'].replace('deeplens_', '')
  del table['data']['kind']
  for field in ('name', 'schedule', 'power'):
    del table['optimizer'][field]
  path.write_text(json.dumps(table))
  assert resume.same_run(config, path) == {}
  # Old defaults apply, not those of the current config file.
  other = make(optimizer__schedule='constant')
  with pytest.raises(ConfigError, match='optimizer.schedule was "cosine", is "constant"'):
    resume.same_run(other, path, resume.Terms(defaults=other))


def test_a_damaged_record_is_refused(tmp_path):
  path, table = tmp_path / record.NAME, tiny.config().to_dict()
  changed = (json.dumps({**table, **fields}) for fields in ({'data': None}, {'task': ['a']}))
  for text in ('', '[]', '{"task', '{"task": "lensblur"}', *changed):
    path.write_text(text)
    refused(lambda: configuring.recorded(path), path, 'does not hold the config of the run')
