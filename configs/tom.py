"""Depth of transparent and mirror surfaces from virtual labels (Costanzino et al., ICCV 2023).

On folders with images/NAME.* and masks/NAME.png, such as the layouts of Trans10K and MSD: labels by
a predictor, which then learns them from the images as they are.

  depthjax convert dpt-large dpt_large_384.pt -o start.safetensors
  depthjax tom-labels data/images data/masks -o data/labels --predictor=start.safetensors
  depthjax train --config=configs/tom.py:dpt-large --workdir=runs/tom \\
    --config.data.label_source=data --config.initialise.weights=start.safetensors
  depthjax depth photo.jpg --predictor=runs/tom

On 16 devices the batch must be a multiple of 16, so the 20 epochs have fewer steps:

  depthjax train --config=configs/tom.py:dpt-large --workdir=runs/tom \\
    --config.data.label_source=data --config.initialise.weights=start.safetensors \\
    --config.batch_size=16 --config.steps=18060 --config.parallel.fsdp=16 \\
    --config.model.remat=True --config.model.dtype=bfloat16

Or on scenes of glass and mirrors: a base that sees through them, then its labels, made on the fly.

  depthjax train --config=configs/tom.py:small --workdir=runs/base
  depthjax train --config=configs/tom.py:small,labels=virtual --workdir=runs/virtual \\
    --config.initialise.weights=runs/base --config.predictor.weights=runs/base

`labels` can be `virtual` (of predictor.weights, on painted images) or `plain` (of it, on the images
as they are: the paper's Ft. Base); for folders also `stored` (of depthjax tom-labels); and for
scenes `naive` (disparity of what is behind glass or in a mirror) or `true`, normalised to 0, the
farthest, to 1 in each scene. `masks` for virtual labels are `true`, or those of a
`segmenter` (segmenter.weights).

The sizes after `small` have the paper's loss and its recipe for 14,446 images: 20 epochs of NAdam
without clipping or averaging. The NAdam of optax has no momentum decay, unlike PyTorch's (4e-3).
The rate is multiplied by 0.95 after each epoch: optimizer.end is peak x 0.95^20, so set both
together. `small` and `smoke` minimise the squared error (loss.terms): with the paper's loss a base
from random weights ends in a constant, and fine-tuning gains a quarter as much in as many steps.

Scores of `small` are in docs/reproduction.md (tom); larger sizes have not been trained.

  size              hardware      frame  parameters
  smoke             2 CPU cores      64      0.12 M
  small             2 CPU cores      64       0.5 M
  dpt-large         accelerators    384       342 M
  midas             accelerators    384       104 M
  depth-anything-s  accelerators    518        25 M
  depth-anything-b  accelerators    518        97 M
  depth-anything-l  accelerators    518       334 M
"""

import functools

import ml_collections

from depthjax import configuring

_IMAGES, _EPOCHS = 14_446, 20  # Trans10K and MSD.


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Sizes, `labels` and `masks` as above; '' for `naive` on scenes and `stored` on folders."""
  arg = configuring.parse_arg(arg, size='small', labels='', masks='true')
  config = configuring.defaults()
  config.task = 'tom'
  config.model = ml_collections.ConfigDict(
    {
      'network': 'unet',  # Or 'depthnet', 'depth_anything', 'dpt', 'midas'.
      'width': 8,  # Of unet and depthnet.
      # To `renorm`: of depthnet alone, as in configs/deeplens_depth.py.
      'input': 'centred',
      'stride_on': 'last',
      'momentum': 0.97,
      'renorm': True,
      'size': 'small',  # Of depth_anything alone.
      'version': 2,
      'remat': False,
      'dtype': 'float32',
    }
  )
  config.loss = ml_collections.ConfigDict({'labels': '', 'masks': arg.masks, 'terms': 'published'})
  # No lens needs padding, and no network gets observed silhouettes.
  config.data.pad, config.data.corruption = 0, 0.0
  config.data.glass, config.data.mirror = 0.35, 0.2
  anything = {f'depth-anything-{name[0]}': name for name in ('small', 'base', 'large')}
  sizes = {name: functools.partial(_anything, size) for name, size in anything.items()}
  sizes |= {'smoke': _smoke, 'small': _small, 'dpt-large': _dpt, 'midas': _midas}
  published = arg.size not in ('smoke', 'small')
  config.loss.labels = arg.labels or ('stored' if published else 'naive')
  if config.loss.labels == 'stored' or published and config.loss.labels in ('plain', 'virtual'):
    config.data.kind, config.data.label_source = 'labelled', ''
    config.data.labelled = configuring.labelled()
    if config.loss.labels != 'stored':
      config.data.labelled.labels = ''
  if config.loss.labels == 'virtual':
    (config.data.labelled if config.data.kind == 'labelled' else config.data).colours = 5
  configuring.apply(config, 'size', arg.size, **sizes)
  return config


def _small(config: ml_collections.ConfigDict) -> None:
  config.batch_size, config.loss.terms = 16, 'squared'
  config.data.height = config.data.width = 64
  # Easier: one large object before a flat background, and unlike it.
  config.data.layers, config.data.camouflage, config.data.contrast = 2, 0.0, 0.7
  config.data.covers, config.data.tilted_background, config.data.lights = (0.1, 0.6), 0.0, 0.0
  if config.loss.labels == 'naive':  # The base.
    config.steps, config.optimizer.peak, config.optimizer.warmup = 10_000, 3e-3, 200
    config.eval.every = config.checkpoint.every = 1000
  else:
    config.steps, config.optimizer.peak, config.optimizer.warmup = 2000, 2e-3, 50
    config.ema = 0.99
    config.eval.every = config.checkpoint.every = 500


def _smoke(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.steps, config.model.width, config.log_every = 60, 4, 10
  config.eval.every = config.checkpoint.every = 30


def _published(config: ml_collections.ConfigDict, side: int) -> None:
  config.batch_size, config.ema = 8, 0.0
  config.steps = _EPOCHS * -(-_IMAGES // config.batch_size)
  optimizer = config.optimizer
  optimizer.name, optimizer.clip, optimizer.peak = 'nadam', 0.0, 1e-7
  optimizer.schedule, optimizer.power = 'staircase', float(_EPOCHS)
  optimizer.end = 0.95**_EPOCHS * optimizer.peak  # x 0.95 after each epoch.
  config.data.height = config.data.width = side
  config.eval.every = config.checkpoint.every = 5000


def _dpt(config: ml_collections.ConfigDict) -> None:
  config.model.network = 'dpt'
  _published(config, 384)


def _midas(config: ml_collections.ConfigDict) -> None:
  config.model.network = 'midas'
  _published(config, 384)
  if 'labelled' in config.data:
    config.data.labelled.rule = 'square'


def _anything(size: str, config: ml_collections.ConfigDict) -> None:
  config.model.network, config.model.size = 'depth_anything', size
  _published(config, 518)
  if 'labelled' in config.data:
    config.data.labelled.multiple = 14
