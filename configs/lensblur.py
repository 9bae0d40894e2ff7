"""Learned lens blur (DeepLens, SIGGRAPH Asia 2018): blur and upsampling networks, eq. 6.

  depthjax train --config=configs/lensblur.py:small --workdir=runs/small

PSNR in dB, over the image / near depth edges, on held-out scenes: `depthjax evaluate`, 128 scenes
of the split 'test' with data.corruption=1. The classical renderer with the same disparity has
31.57 / 29.05, the image without blur 24.79 / 23.74.

  size   hardware      time                    learned
  smoke  2 CPU cores   90 seconds              not measured there
  small  2 CPU cores   90 CPU minutes          33.50 / 31.13, before statistics were averaged
  base   accelerators  not trained yet         -
"""

import ml_collections

from depthjax import configuring


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Sizes `smoke`, `small` and `base` (the paper's); `preset` is `release` or `paper`."""
  arg = configuring.parse_arg(arg, size='base', preset='release')
  config = configuring.defaults()
  config.task = 'lensblur'
  config.model = ml_collections.ConfigDict(
    {
      'preset': arg.preset,
      'width': 64,  # Of the kernel net's bottlenecks.
      'upsampler_width': 32,
      'features': (),  # Widths of the feature convolutions; () takes the preset's.
      'upsampler_features': (),
      'light': 'linear',  # Features are mixed in linear light; 'srgb' as the released graph does.
      'initialisation': 'disc',  # Feature convolutions begin as discs; 'xavier' as the release.
      'threshold': 0.0,  # Soft threshold of learned weights; above 0 for a trained network only.
      'momentum': 0.99,
      'renorm': True,  # Batch renormalisation; the release has none.
      'remat': False,
      'dtype': 'float32',
    }
  )
  config.loss = ml_collections.ConfigDict(
    {
      'kind': 'normalised',  # or 'l1'.
      'alpha': 1.5,
      'upsampler': 1.0,  # beta of eq. 6.
      'differentiate_weights': False,
    }
  )
  config.render = configuring.lens()
  configuring.apply(config, 'size', arg.size, smoke=_smoke, small=_small, base=_base)
  return config


def _base(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 200_000, 16
  config.optimizer.peak, config.optimizer.warmup = 1e-4, 1000
  config.data.height = config.data.width = 640
  config.eval.every = config.checkpoint.every = 5000


def _small(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 10_000, 8
  config.model.width, config.model.upsampler_width = 24, 12
  config.model.features = (18, 18, 12, 12)
  config.model.upsampler_features = (12, 12)
  config.model.momentum = 0.97
  config.optimizer.peak, config.optimizer.warmup = 1e-3, 100
  # Half the paper's blur radius in pixels, on small crops.
  config.data.height = config.data.width = 96
  config.data.pad, config.render.radius, config.render.band = 10, 4, 6
  config.render.samples = 64
  # Errors as large, relative to the blur, as the paper's 6 px for a radius of 8.
  config.data.corruption_radius, config.data.corruption_sigma = 20, 6.0
  # A network cannot know the gain of a clipped highlight; in a short run strong gains are noise.
  config.data.highlight, config.data.highlight_max = 0.2, 3.0
  config.eval.every = config.checkpoint.every = 1000


def _smoke(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.steps = 200
  config.eval.every = config.checkpoint.every = 100
  config.log_every = 10
