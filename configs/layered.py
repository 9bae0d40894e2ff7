"""Layered depth refinement with mask guidance (Kim et al., CVPR 2022): two layers from a mask.

  depthjax train --config=configs/layered.py:small --workdir=runs/layered

The paper's losses, ranges of errors and schedule are not public: these are ours. ImageNet weights
of PVTv2-B3 (Apache-2.0) fit the encoder of the preset pvtv2_b3: convert the file of timm by
`depthjax convert mit FILE -o encoder.safetensors`, and add

  --config.model.preset=pvtv2_b3 --config.initialise.weights=encoder.safetensors
  --config.initialise.rules="(('/backbone/', 'load'), ('.*', 'fresh'))"

Scores of `small` are in docs/models/layered.md; `base` has not been trained.

  size   hardware      frame  parameters
  smoke  2 CPU cores      64       1.3 M
  small  2 CPU cores     128       4.8 M  3.7 examples a second
  base   accelerators    320        61 M
"""

import ml_collections

from depthjax import configuring


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Sizes as above; `stage` is `both`, `completion` or `refinement`."""
  arg = configuring.parse_arg(arg, size='base', stage='both')
  config = configuring.defaults()
  config.task = 'layered'
  config.model = ml_collections.ConfigDict(
    {
      'preset': 'mit_b3',  # Or pvtv2_b3, small. These fields may replace those of the preset:
      'widths': (),
      'depths': (),
      'drop': 0.1,
      'momentum': 0.99,
      'remat': False,
      'dtype': 'float32',
    }
  )
  config.loss = ml_collections.ConfigDict(
    {
      'start': 0,  # Step from which the network refines; before, it completes.
      'gradient': 0.5,  # Weight of gradients of errors at four scales.
      'hidden': 0.5,  # Weight of a layer's pixels behind the other one.
      'edge': 2.0,  # Weight of pixels along the border of the mask.
      'blended': 0.5,  # Weight of the two layers composited.
      'layers': True,  # False: one map, the visible disparity, for comparison.
    }
  )
  config.optimizer.weight_decay = 0.01
  config.optimizer.schedule, config.optimizer.end = 'polynomial', 0.0
  config.data.kind, config.data.depth_source, config.data.pad = 'masked', '', 0
  config.data.masked, config.data.predictions = configuring.masked(), configuring.predictions()
  # Errors P1 to P3: resolution, silhouettes and their blur.
  config.data.predictions.low, config.data.predictions.max_coarsening = 0.5, 4.0
  config.data.corruption, config.data.corruption_radius = 0.8, 8
  config.data.corruption_sigma = 4.0
  configuring.apply(config, 'size', arg.size, smoke=_smoke, small=_small, base=_base)
  stages = {'both': _both, 'completion': _completion, 'refinement': _refinement}
  configuring.apply(config, 'stage', arg.stage, **stages)
  return config


def _both(config: ml_collections.ConfigDict) -> None:
  config.loss.start = config.steps // 3


def _completion(config: ml_collections.ConfigDict) -> None:
  config.loss.start = config.steps = config.steps // 3


def _refinement(config: ml_collections.ConfigDict) -> None:
  config.loss.start, config.steps = 0, config.steps - config.steps // 3


def _base(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 120_000, 32
  config.optimizer.peak, config.optimizer.warmup = 6e-4, 1500
  config.optimizer.learning_rate_factors = (('/backbone/', 0.1), ('.*', 1.0))
  config.data.height = config.data.width = 320
  config.eval.every = config.checkpoint.every = 2000


def _small(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 2000, 8
  config.model.preset = 'small'
  config.optimizer.peak, config.optimizer.warmup = 1e-3, 100
  config.data.height = config.data.width = 128
  config.eval.every = config.checkpoint.every = 500


def _smoke(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.steps, config.batch_size, config.log_every = 60, 2, 10
  config.model.widths, config.model.depths = (8, 16, 40, 16), (1, 1, 1, 1)
  config.data.height = config.data.width = 64
  config.eval.every, config.eval.examples = 30, 8
  config.checkpoint.every = 30
