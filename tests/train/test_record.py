"""The config that a run recorded, also by an older version."""

import json

import pytest

from depthjax.train import record, resume
from tests import tiny


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
