"""Aperture supervision (Srinivasan et al., CVPR 2018), the baseline of DeepLens, Tables 1 and 2.

  depthjax train --config=configs/aperture.py:small --workdir=runs/aperture

The network of configs/deeplens_depth.py, without segmentation, learns from pictures through a lens
alone. Scenes, lens and scores are those of configs/lensblur.py, but for a frame of half the size at
`base`. How it compares, on frames of one size: `depthjax reproduce deeplens/table2`.
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
      'long_side': 0,  # At which the network is shown the frame, in pixels; 0 is the frame's own.
      'width': 64,
      'input': 'centred',
      'stride_on': 'last',
      'momentum': 0.99,
      'renorm': True,
      'remat': False,
      'dtype': 'float32',
    }
  )
  config.loss = ml_collections.ConfigDict({'levels': 9})  # Layers of the renderer.
  config.render = configuring.lens()
  # Nothing here sees a disparity; the classical renderer beside it gets the true one.
  config.render.disparity = 'true'
  configuring.apply_size(config, arg.size, smoke=_smoke, small=_small, base=_base)
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
  configuring.small_lens(config)
  config.eval.every = config.checkpoint.every = 500


def _smoke(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.steps, config.model.width = 200, 8
  config.eval.every = config.checkpoint.every = 100
  config.log_every = 10
