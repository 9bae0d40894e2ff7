"""Aperture supervision (Srinivasan et al., CVPR 2018), the baseline of DeepLens, Tables 1 and 2.

  depthjax train --config=configs/aperture.py:small --workdir=runs/aperture

The network of configs/deeplens_depth.py, without segmentation, learns disparity only from images
through a lens. Scenes, lens and scores are those of configs/lensblur.py; the frame of `base` has
half the size. `depthjax reproduce deeplens/table2` compares them at one size.
"""

import ml_collections

from depthjax import configuring


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Sizes `smoke`, `small` and `base`."""
  arg = configuring.parse_arg(arg, size='base')
  config = configuring.defaults()
  config.task = 'aperture'
  config.model = ml_collections.ConfigDict(
    {
      'preset': 'release',
      'long_side': 0,  # Of the network's input, pixels; 0 is that of the frame.
      'width': 64,
      'input': 'centred',
      'stride_on': 'last',
      'momentum': 0.99,
      'renorm': True,
      'remat': False,
      'dtype': 'float32',
    }
  )
  config.loss = ml_collections.ConfigDict({'levels': 9})  # Depth layers of the renderer.
  config.render = configuring.lens()
  # The network gets no disparity; the classical renderer it is compared with gets the true one.
  config.render.disparity = 'true'
  configuring.apply(config, 'size', arg.size, smoke=_smoke, small=_small, base=_base)
  return config


def _base(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 350_000, 16
  config.optimizer.peak, config.optimizer.warmup = 1e-4, 1000
  config.data.height = config.data.width = 320
  config.eval.every = config.checkpoint.every = 5000


def _small(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 4000, 8
  config.model.width, config.model.momentum = 16, 0.97
  config.optimizer.peak, config.optimizer.warmup = 1e-3, 100
  # Scenes and lens of configs/lensblur.py at this size, to compare with it.
  config.data.height = config.data.width = 96
  config.data.pad, config.render.radius, config.render.band = 10, 4, 6
  config.render.samples = 64
  config.data.corruption_radius, config.data.corruption_sigma = 20, 6.0
  config.data.highlight, config.data.highlight_max = 0.2, 3.0
  config.eval.every = config.checkpoint.every = 500


def _smoke(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.steps, config.model.width = 200, 8
  config.eval.every = config.checkpoint.every = 100
  config.log_every = 10
