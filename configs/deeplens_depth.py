"""Depth prediction (DeepLens, SIGGRAPH Asia 2018): disparity of one image, eq. 1.

  depthjax train --config=configs/deeplens_depth.py:small --workdir=runs/depth

An encoder pretrained on ImageNet fits the widths of `base`: convert the file of torchvision or timm
by `depthjax convert resnet50 FILE -o encoder.safetensors`, and add

  --config.initialise.weights=encoder.safetensors --config.model.input=imagenet
  --config.model.stride_on=middle
  --config.initialise.rules="(('/encoder/', 'load'), ('.*', 'fresh'))"

No size has been trained to the end yet, so there are no scores.

  size   hardware      frame  parameters
  smoke  2 CPU cores      96      0.15 M
  small  2 CPU cores      96      0.6 M
  base   accelerators    320      9.5 M
"""

import ml_collections

from depthjax import configuring


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Sizes `smoke`, `small` and `base`; `preset` is `paper`, or `release` without segmentation."""
  arg = configuring.parse_arg(arg, size='base', preset='paper')
  config = configuring.defaults()
  config.task = 'deeplens_depth'
  config.model = ml_collections.ConfigDict(
    {
      'preset': arg.preset,
      'width': 64,  # Of conv1 and the decoder; other widths are multiples of it.
      'input': 'centred',  # 'imagenet' for an encoder with published weights.
      'stride_on': 'last',  # Convolution of a block with the stride; 'middle' in torchvision.
      'momentum': 0.99,
      'renorm': True,  # Batch renormalisation; the release has none.
      'remat': False,
      'dtype': 'float32',
    }
  )
  config.loss = ml_collections.ConfigDict(
    {
      'segmentation': 0.5,  # gamma of eq. 1.
      'mixed': True,  # Half of a batch trains disparity, the other half the foreground.
    }
  )
  # No lens needs padding, and no network gets observed silhouettes.
  config.data.pad, config.data.corruption = 0, 0.0
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
  config.data.height = config.data.width = 96
  config.eval.every = config.checkpoint.every = 500


def _smoke(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.steps, config.model.width = 200, 8
  config.eval.every = config.checkpoint.every = 100
  config.log_every = 10
