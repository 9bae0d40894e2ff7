"""The smallest runs: what tests of the engine train, in process or by command.

The engine is tested with the regression of the DeepLens paper: rendered scenes, batch statistics
and metrics like those of the lens blur, at a seventh of its time to compile.
"""

import pathlib

import ml_collections

from configs import deeplens_depth, lensblur, regression, sddr

ROOT = pathlib.Path(__file__).parents[1]
FIELDS = {
  # The learning rates of a schedule are part of the compiled step: one length, one compilation.
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
# The same of the lens blur.
LENSBLUR_FIELDS = {
  **{name: value for name, value in FIELDS.items() if not name.startswith('model.')},
  'model.width': 4,
  'model.upsampler_width': 4,
  'model.features': (6, 6, 3, 3),
  'model.upsampler_features': (6, 6, 3, 3),
}
# The same of the depth net, without what only a lens needs.
DEPTH_FIELDS = {
  **{
    name: value for name, value in FIELDS.items() if name.split('.')[0] not in ('model', 'render')
  },
  'model.width': 2,
  'data.pad': 0,
}
# And of depth refinement, whose maps cannot be smaller.
SDDR_FIELDS = {
  'steps': 6,
  'batch_size': 8,
  'log_every': 1,
  'eval.every': 0,
  'eval.examples': 8,
  'eval.pictures': 0,
  'checkpoint.every': 0,
  'model.stem': (2, 4, 4),
  'model.widths': (4, 8, 10, 8),
  'optimizer.warmup': 0,
  'parallel.min_size': 64,
}


def config(**fields) -> ml_collections.ConfigDict:
  """The config with fields replaced; '__' in a name stands for the dot."""
  return _changed(regression, FIELDS, fields)


def lensblur_config(**fields) -> ml_collections.ConfigDict:
  """The lens blur's config, likewise."""
  return _changed(lensblur, LENSBLUR_FIELDS, fields)


def depth_config(**fields) -> ml_collections.ConfigDict:
  """The depth net's config, likewise."""
  return _changed(deeplens_depth, DEPTH_FIELDS, fields)


def sddr_config(**fields) -> ml_collections.ConfigDict:
  """The config of depth refinement, likewise."""
  return _changed(sddr, SDDR_FIELDS, fields)


def _changed(module, small, fields) -> ml_collections.ConfigDict:
  result = module.get_config('smoke')
  fields = {name.replace('__', '.'): value for name, value in fields.items()}
  result.update_from_flattened_dict({**small, **fields})
  return result.lock()


def arguments(workdir, **fields) -> list[str]:
  """The same config as arguments of `depthjax train`."""
  fields = {name.replace('__', '.'): value for name, value in fields.items()}
  flags = [f'--config.{name}={value}' for name, value in {**FIELDS, **fields}.items()]
  return [f'--config={ROOT}/configs/regression.py:smoke', f'--workdir={workdir}', *flags]
