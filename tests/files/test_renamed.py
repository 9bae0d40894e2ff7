"""Old names of tasks and config fields."""

import importlib.resources
import pathlib

import pytest

from depthjax import configuring
from depthjax.files import renamed, weights

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'


def test_new_names_are_fields_of_configs_and_old_names_are_not():
  config = configuring.load(CONFIGS / 'sddr.py', 'small')
  lensblur = configuring.load(CONFIGS / 'lensblur.py', 'small')
  tables = {'data.predictions': config.data.predictions, 'model': lensblur.model}
  for path, names in renamed.FIELDS.items():
    table = tables.get(path) or config[path]
    assert set(names.values()) <= set(table.keys())
    assert not set(names) & set(table.keys())


def test_recorded_configs_are_translated():
  old = {'loss': {'share': 0.1, 'regions_by': 'place'}, 'data': {'slanted': 0.5}, 'share': 3}
  new = {'loss': {'fraction': 0.1, 'regions_by': 'position'}, 'data': {'tilted_background': 0.5}}
  assert renamed.config(old) == {**new, 'share': 3}
  assert renamed.config(new) == new
  own = {'task': 'mine:make', 'model': {'start': 3}, 'loss': {'share': 0.1}}
  assert renamed.config(own) == own  # A user's task has its own names.


@pytest.mark.parametrize('name, field', [('lensblur', 'initialisation'), ('sddr', 'enlarge')])
def test_shipped_weights_have_current_names(name, field):
  file = importlib.resources.files('depthjax') / 'pretrained' / f'{name}.safetensors'
  config = weights.load_weights(file)[1]['config']
  assert field in config['model'] and 'start' not in config['model']
  assert 'smallest' not in config['parallel'] and 'decays' not in config['optimizer']
