"""Direct regression of shallow depth of field, the baseline of DeepLens, Table 2 (pix2pix, L1).

  depthjax train --config=configs/regression.py:small --workdir=runs/regression

It is told the focal point and the aperture and no depth. Scenes, lens and scores are those of
configs/lensblur.py; how it compares: `depthjax reproduce deeplens/table2`.
"""

import ml_collections

from depthjax import configuring


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Sizes `smoke`, `small` and `base` (pix2pix's own widths)."""
  arg = configuring.parse_arg(arg, size='base')
  config = configuring.defaults()
  config.task = 'regression'
  config.model = ml_collections.ConfigDict(
    {
      'width': 64,
      'depth': 8,
      'momentum': 0.99,
      'renorm': True,  # Batch renormalisation; False as pix2pix.
      'remat': False,
      'dtype': 'float32',
    }
  )
  config.render = configuring.lens()
  configuring.apply_size(config, arg.size, smoke=_smoke, small=_small, base=_base)
  return config


def _base(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 200_000, 16
  config.optimizer.peak, config.optimizer.warmup = 2e-4, 1000
  config.data.height = config.data.width = 640
  config.eval.every = config.checkpoint.every = 5000


def _small(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 10_000, 8
  config.model.width, config.model.depth, config.model.momentum = 16, 5, 0.97
  config.optimizer.peak, config.optimizer.warmup = 1e-3, 100
  configuring.small_lens(config)
  config.eval.every = config.checkpoint.every = 1000


def _smoke(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.steps = 200
  config.model.width = 8
  config.eval.every = config.checkpoint.every = 100
  config.log_every = 10
