"""Segmentation of glass and mirrors: a mask from one image, by BCE and Dice.

  depthjax train --config=configs/segment.py:small --workdir=runs/segment
  depthjax tom-masks images -o masks --weights=runs/segment

The networks are those of depth predictors. All but their head can have the weights of one, and
train on folders of images and masks, in the layouts of Trans10K and MSD, as configs/tom.py:

  depthjax convert dpt-large model.safetensors -o start.safetensors
  depthjax train --config=configs/segment.py:dpt-large --workdir=runs/segment \
    --config.data.label_source=data --config.initialise.weights=start.safetensors

`small` draws scenes, and can have the weights of a run of tom:small. From random weights its masks
have an IoU of 0.61 on validation scenes with glass or mirrors; larger sizes have not been trained.

  size              network         hardware      frame  parameters
  smoke             unet            2 CPU cores      64      0.12 M
  small             unet            2 CPU cores      64       0.5 M
  depth-anything-s  depth_anything  accelerators    518        25 M
  dpt-large         dpt             accelerators    384       342 M
"""

import ml_collections

from depthjax import configuring


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Sizes as above."""
  arg = configuring.parse_arg(arg, size='small')
  config = configuring.defaults()
  config.task = 'segment'
  config.model = ml_collections.ConfigDict(
    {
      'network': 'unet',  # Or depthnet, depth_anything, dpt, midas.
      'width': 8,  # Of unet and depthnet.
      # Of depthnet, as in configs/deeplens_depth.py.
      'input': 'centred',
      'stride_on': 'last',
      'momentum': 0.99,
      'renorm': True,
      # Of depth_anything, as in configs/monocular.py.
      'size': 'small',
      'version': 2,
      'remat': False,
      'dtype': 'float32',
    }
  )
  # For weights of a depth predictor, whose head has another purpose.
  config.initialise.rules = (('head/', 'fresh'), ('.*', 'load'))
  # No lens needs padding, and no network gets observed silhouettes.
  config.data.pad, config.data.corruption = 0, 0.0
  config.data.glass, config.data.mirror = 0.35, 0.2
  sizes = {'dpt-large': _dpt_large, 'depth-anything-s': _depth_anything_s}
  configuring.apply(config, 'size', arg.size, smoke=_smoke, small=_small, **sizes)
  return config


def _published(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 20_000, 8
  config.optimizer.peak, config.optimizer.warmup = 1e-5, 500
  config.data.kind, config.data.label_source = 'labelled', ''
  config.data.labelled = configuring.labelled()
  config.data.labelled.labels = ''
  config.eval.every = config.checkpoint.every = 1000


def _dpt_large(config: ml_collections.ConfigDict) -> None:
  _published(config)
  config.model.network = 'dpt'
  config.data.height = config.data.width = 384


def _depth_anything_s(config: ml_collections.ConfigDict) -> None:
  _published(config)
  config.model.network = 'depth_anything'
  config.data.height = config.data.width = 518
  config.data.labelled.multiple = 14


def _small(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 4000, 16
  config.optimizer.peak, config.optimizer.warmup = 3e-3, 100
  config.data.height = config.data.width = 64
  # As in configs/tom.py.
  config.data.layers, config.data.camouflage, config.data.contrast = 2, 0.0, 0.7
  config.data.covers, config.data.tilted_background, config.data.lights = (0.1, 0.6), 0.0, 0.0
  config.eval.every = config.checkpoint.every = 500


def _smoke(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.steps, config.model.width = 200, 4
  config.eval.every = config.checkpoint.every = 100
  config.log_every = 10
