"""Self-distilled depth refinement (SDDR, NeurIPS 2024): consistent and sharp disparity.

  depthjax train --config=configs/sddr.py:small --workdir=runs/sddr

The first third of the steps learns from ground truth, the rest from the model's own edges too
(eq. 10). What the paper does not say is ours: optimiser, schedule and the shape of the simulated
predictor. On one device the paper's batch is --config.batch_size=2 --config.steps=60000
--config.optimizer.peak=1e-4 --config.loss.start=20000.

  size   hardware      side  windows  parameters
  smoke  2 CPU cores    128      128       0.1 M
  small  2 CPU cores    256      128      10.3 M
  base   accelerators  2048     1024      10.3 M
"""

import ml_collections

from depthjax import configuring


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Sizes `smoke`, `small` and `base`."""
  arg = configuring.parse_arg(arg, size='base')
  config = configuring.defaults()
  config.task = 'sddr'
  config.model = ml_collections.ConfigDict(
    {
      'stem': (8, 16, 32),
      'widths': (32, 64, 160, 256),
      'depths': (2, 2, 2, 2),
      'attention': 8,
      'drop': 0.1,
      'remat': False,
      'dtype': 'float32',
    }
  )
  config.loss = ml_collections.ConfigDict(
    {
      'start': 0,  # The step from which on the two losses below are added.
      'gradient': 0.5,  # lambda_1.
      'fusion': 0.1,  # lambda_2.
      'smoothness': 0.5,  # Of L_gt, the weight of its residual's gradients.
      'label': 'gradient',  # 'disparity' is learning from the labels' disparity instead.
      'edges': 0.05,  # Share of the pixels with the strongest labels, for L_grad.
      'regions': 4,  # N_g, into which they are divided ...
      'regions_by': 'place',  # ... by K-means of their places, or by 'strength'.
      'share': 0.02,  # a of L_fusion.
      'quantiles': 4,  # N_w.
      'sigma': 3.0,  # Of the bilateral filter of the first labels, px ...
      'tolerance': 0.1,  # ... and as a share of the gradient's 95th percentile.
      'sequential': False,  # Windows one at a time: less memory.
    }
  )
  config.optimizer.weight_decay = 0.01
  config.data.predictions = configuring.predictions()
  configuring.apply_size(config, arg.size, smoke=_smoke, small=_small, base=_base)
  config.loss.start = config.steps // 3
  return config


def _base(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 7500, 16  # 3 x 40,000 examples.
  config.optimizer.peak, config.optimizer.warmup = 3e-4, 500
  config.data.height = config.data.width = 2048
  config.data.predictions.window_side = 1024
  config.loss.sequential = True
  config.eval.every = config.checkpoint.every = 500


def _small(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 3000, 8
  config.optimizer.peak, config.optimizer.warmup = 1e-3, 100
  config.data.height = config.data.width = 256
  config.data.predictions.window_side = 128
  config.loss.sigma = 1.0
  config.eval.every = config.checkpoint.every = 500


def _smoke(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.steps, config.batch_size = 60, 2
  config.model.stem, config.model.widths = (4, 8, 8), (8, 16, 16, 16)
  config.model.depths, config.model.attention = (1, 1, 1, 1), 1
  config.data.height = config.data.width = 128
  config.data.predictions.levels = 1
  config.eval.every = config.checkpoint.every = 30
  config.eval.examples = 8
  config.log_every = 10
