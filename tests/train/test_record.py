"""The config that a run recorded, also by an older version."""

import json

import pytest

from depthjax.configuring import ConfigError
from depthjax.train import record, resume
from tests import tiny
from tests.messages import refused


@pytest.mark.parametrize('config', [tiny.config, tiny.sddr_config, tiny.depth_config])
def test_a_run_of_an_older_version_goes_on(tmp_path, config):
  """Before kinds of records, optimisers and schedules had names, and the depth net its own."""
  config, path = config(), tmp_path / record.NAME
  table = config.to_dict()
  table['task'] = table['task'].replace('deeplens_', '')
  del table['data']['kind']
  for field in ('name', 'schedule', 'power'):
    del table['optimizer'][field]
  path.write_text(json.dumps(table))
  assert resume.same_run(config, path) == {}
  # Whatever a config file says today.
  other = config.copy_and_resolve_references().unlock()
  other.optimizer.schedule = 'constant'
  with pytest.raises(ConfigError, match='optimizer.schedule was "cosine", is "constant"'):
    resume.same_run(other, path, resume.Terms(defaults=other))


@pytest.mark.parametrize('field, value', [('data', None), ('task', ['a']), ('optimizer', 3)])
def test_a_record_that_holds_something_else_is_refused(tmp_path, field, value):
  path = tmp_path / record.NAME
  path.write_text(json.dumps({**tiny.config().to_dict(), field: value}))
  refused(lambda: record.read(path), path, 'does not hold the config of the run')
