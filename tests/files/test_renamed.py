"""Old names of tasks and config fields."""

import importlib.resources
import pathlib

import pytest

from depthjax import configuring
from depthjax.files import renamed, weights


def test_old_names_become_fields_of_todays_configs():
  config = configuring.load(_config('sddr'), 'small')
  lensblur = configuring.load(_config('lensblur'), 'small')
  tables = {'data.predictions': config.data.predictions, 'model': lensblur.model}
  for path, names in renamed.FIELDS.items():
    table = tables.get(path) or config[path]
    assert set(names.values()) <= set(table.keys())
    assert not set(names) & set(table.keys())


def test_recorded_configs_are_translated_by_table():
  old = {'loss': {'share': 0.1, 'regions_by': 'place'}, 'data': {'slanted': 0.5}, 'share': 3}
  new = {'loss': {'fraction': 0.1, 'regions_by': 'position'}, 'data': {'tilted_background': 0.5}}
  assert renamed.config(old) == {**new, 'share': 3}
  assert renamed.config(new) == new


@pytest.mark.parametrize('name, field', [('lensblur', 'initialisation'), ('sddr', 'enlarge')])
def test_shipped_weights_are_read_in_todays_names(name, field):
  file = importlib.resources.files('depthjax') / 'pretrained' / f'{name}.safetensors'
  config = weights.load_weights(file, name)[1]['config']
  assert field in config['model'] and 'start' not in config['model']
  assert 'smallest' not in config['parallel'] and 'decays' not in config['optimizer']


def _config(name):
  return pathlib.Path(__file__).parents[2] / 'configs' / f'{name}.py'
