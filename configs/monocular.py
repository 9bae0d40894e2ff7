"""Fine-tuning of published depth predictors on scenes: disparity of one image.

  depthjax convert depth-anything-v2-small model.safetensors -o start.safetensors
  depthjax train --config=configs/monocular.py:small --workdir=runs/depth \
    --config.initialise.weights=start.safetensors

Networks: depth_anything (sizes small, base and large), dpt and midas (one size each). Learning-rate
factors freeze parts: --config.optimizer.learning_rate_factors="(('/encoder/', 0.0), ('.*', 1.0))".
The result is a predictor: depthjax depth photo.jpg --predictor=runs/depth.

No size has been trained to the end yet, so there are no scores.

  size   network         frame  parameters
  smoke  depth_anything     70       0.1 M
  small  depth_anything    518        25 M
  small  dpt               384       342 M
"""

import functools

import ml_collections

from depthjax import configuring


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Sizes `smoke`, `small`, `base` and `large`; `network` as above."""
  arg = configuring.parse_arg(arg, size='small', network='depth_anything')
  config = configuring.defaults()
  config.task = 'monocular'
  config.model = ml_collections.ConfigDict(
    {'network': arg.network, 'remat': False, 'dtype': 'float32'}
  )
  if arg.network == 'depth_anything':
    config.model.size = 'small'
    config.model.version = 2
  config.steps, config.batch_size = 5000, 16
  config.optimizer.peak, config.optimizer.warmup = 5e-6, 200
  # No lens needs padding, and no network gets observed silhouettes.
  config.data.pad, config.data.corruption = 0, 0.0
  config.data.height = config.data.width = 518 if arg.network == 'depth_anything' else 384
  config.eval.every = config.checkpoint.every = 500
  sizes = {name: functools.partial(_sized, name) for name in ('small', 'base', 'large')}
  configuring.apply(config, 'size', arg.size, smoke=_smoke, **sizes)
  return config


def _sized(name: str, config: ml_collections.ConfigDict) -> None:
  if 'size' in config.model:
    config.model.size = name


def _smoke(config: ml_collections.ConfigDict) -> None:
  _sized('tiny', config)
  config.steps, config.batch_size, config.log_every = 200, 8, 10
  config.optimizer.peak, config.optimizer.warmup = 1e-3, 20
  config.data.height = config.data.width = 70 if 'size' in config.model else 64
  config.eval.every = config.checkpoint.every = 100
