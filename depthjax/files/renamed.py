"""Renamed tasks and config fields: older config.json and weight files are read in current names."""

from collections.abc import Mapping
from typing import Any

TASKS = {'depth': 'deeplens_depth'}
# By table of the config: old name -> current name.
FIELDS = {
  'data': {'slanted': 'tilted_background'},
  'data.predictions': {
    'window_side': 'window_size',
    'reach': 'max_coarsening',
    'natural': 'stereo_targets',
    'believed': 'smooth_shared',
    'cons_low': 'offset_low',
    'cons_high': 'offset_high',
  },
  'input': {'ahead': 'prefetch'},
  'loss': {'share': 'fraction', 'tolerance': 'sigma_range'},
  'model': {'start': 'initialisation'},
  'optimizer': {'decays': 'weight_decay_factors', 'rates': 'learning_rate_factors'},
  'parallel': {'smallest': 'min_size'},
}
# By field, in current names: old value -> current value.
VALUES = {'loss.regions_by': {'place': 'position'}}
# The tasks whose configs had these old names.
_TRANSLATED = {'aperture', 'lensblur', 'regression', 'sddr', *TASKS, *TASKS.values()}
# Fields that no longer exist, in current names of tables.
REMOVED = ('loss.sequential',)


def task(name: str) -> str:
  """Returns the current name of a task."""
  return TASKS.get(name, name)


def config(table: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Translates a recorded config, or its table at the dotted path `prefix`, to current names.

  The fields of a task of another package are its own and stay as they are.
  """
  if 'task' in table and table['task'] not in _TRANSLATED:
    return dict(table)
  out = {}
  for old, value in table.items():
    name = FIELDS.get(prefix, {}).get(old, old)
    path = f'{prefix}.{name}'.removeprefix('.')
    if path in REMOVED:
      continue
    if isinstance(value, Mapping):
      value = config(value, path)
    elif path in VALUES and isinstance(value, str):
      value = VALUES[path].get(value, value)
    out[name] = value
  return out
