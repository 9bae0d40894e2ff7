"""Names that older versions wrote into config.json and weight files, and today's names for them."""

from collections.abc import Mapping
from typing import Any

TASKS = {'depth': 'deeplens_depth'}
# Fields by their table in the config.
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
# Values by field, in today's names.
VALUES = {'loss.regions_by': {'place': 'position'}}


def task(name: str) -> str:
  """Today's name of a task."""
  return TASKS.get(name, name)


def config(table: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """A recorded config, or its table at `prefix`, in today's names; other entries are kept."""
  out = {}
  for old, value in table.items():
    name = FIELDS.get(prefix, {}).get(old, old)
    path = f'{prefix}.{name}'.removeprefix('.')
    if isinstance(value, Mapping):
      value = config(value, path)
    elif path in VALUES and isinstance(value, str):
      value = VALUES[path].get(value, value)
    out[name] = value
  return out
