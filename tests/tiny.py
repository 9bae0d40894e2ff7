"""The smallest training configs of each task, for tests.

Tests of training use the regression network of the DeepLens paper: it has rendered scenes, batch
statistics and the metrics of the lens blur, and compiles 7x faster.
"""

import functools
import pathlib

import ml_collections

from configs import deeplens_depth, lensblur, regression, sddr

ROOT = pathlib.Path(__file__).parents[1]
FIELDS = {
  'steps': 6,
  'batch_size': 8,
  'log_every': 1,
  'eval.every': 0,
  'eval.examples': 8,
  'eval.pictures': 0,
  'checkpoint.every': 0,
  'model.width': 8,
  'model.depth': 2,
  'optimizer.warmup': 0,
  'parallel.min_size': 64,
  'data.height': 32,
  'data.width': 32,
  'data.pad': 8,
  'data.photo_source': '',
  'data.corruption_radius': 2,
  'render.samples': 8,
  'render.radius': 4,
}


def _without(*tables: str) -> dict:
  return {name: value for name, value in FIELDS.items() if name.partition('.')[0] not in tables}


LENSBLUR_FIELDS = {
  **_without('model'),
  'model.width': 4,
  'model.upsampler_width': 4,
  'model.features': (6, 6, 3, 3),
  'model.upsampler_features': (6, 6, 3, 3),
}
DEPTH_FIELDS = {**_without('model', 'render'), 'model.width': 2, 'data.pad': 0}
# The smallest maps of depth refinement are those of its config.
SDDR_FIELDS = {
  **_without('model', 'render', 'data'),
  'model.stem': (2, 4, 4),
  'model.widths': (4, 8, 10, 8),
}


def dotted(fields: dict) -> dict:
  """The fields with '.' for '__' in their names."""
  return {name.replace('__', '.'): value for name, value in fields.items()}


def _config(module, small, **fields) -> ml_collections.ConfigDict:
  """A config with fields replaced; '__' in a name means '.'."""
  result = module.get_config('smoke')
  result.update_from_flattened_dict({**small, **dotted(fields)})
  return result.lock()


config = functools.partial(_config, regression, FIELDS)
lensblur_config = functools.partial(_config, lensblur, LENSBLUR_FIELDS)
depth_config = functools.partial(_config, deeplens_depth, DEPTH_FIELDS)
sddr_config = functools.partial(_config, sddr, SDDR_FIELDS)


def arguments(workdir, **fields) -> list[str]:
  """The regression config as arguments of `depthjax train`."""
  flags = [f'--config.{name}={value}' for name, value in {**FIELDS, **dotted(fields)}.items()]
  return [f'--config={ROOT}/configs/regression.py:smoke', f'--workdir={workdir}', *flags]
