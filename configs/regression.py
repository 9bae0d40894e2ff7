"""Direct regression of shallow depth of field, the baseline of DeepLens, Table 2 (pix2pix, L1).

  depthjax train --config=configs/regression.py:small --workdir=runs/regression

The network gets the image, the focus and the aperture, but no depth. Scenes, lens and scores are
those of configs/lensblur.py; `depthjax reproduce deeplens/table2` compares them.
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
      'renorm': True,  # Batch renormalisation; pix2pix has none.
      'remat': False,
      'dtype': 'float32',
    }
  )
  config.render = configuring.lens()
  configuring.apply(config, 'size', arg.size, smoke=_smoke, small=_small, base=_base)
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
  # Scenes and lens of configs/lensblur.py at this size, to compare with it.
  config.data.height = config.data.width = 96
  config.data.pad, config.render.radius, config.render.band = 10, 4, 6
  config.render.samples = 64
  config.data.corruption_radius, config.data.corruption_sigma = 20, 6.0
  config.data.highlight, config.data.highlight_max = 0.2, 3.0
  config.eval.every = config.checkpoint.every = 1000


def _smoke(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.steps = 200
  config.model.width = 8
  config.eval.every = config.checkpoint.every = 100
  config.log_every = 10
