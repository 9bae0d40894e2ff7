"""Self-distilled depth refinement (SDDR, NeurIPS 2024): consistent and sharp disparity.

  depthjax train --config=configs/sddr.py:small --workdir=runs/sddr

The first `loss.start` steps learn from ground truth, later ones also from pseudo-labels of the
model's own edges (eq. 10). Optimiser, schedule and simulated predictor are ours: the paper does not
give them. The paper's batch on one device is --config.batch_size=2 --config.steps=60000
--config.loss.start=20000 --config.optimizer.peak=1e-4.

The stages can be separate runs, so that several second stages start from one first stage:

  depthjax train --config=configs/sddr.py:small,stage=first --workdir=runs/first
  depthjax train --config=configs/sddr.py:small,stage=second --workdir=runs/second
    --config.initialise.weights=runs/first

A third stage trains on predictions of many resolutions, with white noise. The shipped weights were
trained by one at each size, the second of them on a GPU (see docs/models/sddr.md):

  depthjax train --config=configs/sddr.py:medium,stage=broad --workdir=runs/broad
    --config.initialise.weights=runs/second --config.steps=4800

  size    hardware      frame  windows  parameters
  smoke   2 CPU cores     128      128       0.1 M
  small   2 CPU cores     256      128      10.3 M
  medium  1 GPU           512      256      10.3 M  enlarged 2x for the network
  base    accelerators   2048     1024      10.3 M
"""

import ml_collections

from depthjax import configuring


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Sizes as above; `stage` is `both`, `first`, `second` or `broad`."""
  arg = configuring.parse_arg(arg, size='base', stage='both')
  config = configuring.defaults()
  config.task = 'sddr'
  config.model, config.loss = _model(), _loss()
  config.optimizer.weight_decay = 0.01
  config.data.kind, config.data.depth_source = 'predictions', ''
  config.data.predictions = configuring.predictions()
  # Only the disparity of a scene is used: many layers, of many sizes.
  config.data.photo_source, config.data.pad = '', 0
  config.data.layers, config.data.margin, config.data.covers = 8, 0.03, (0.005, 0.6)
  sizes = {'smoke': _smoke, 'small': _small, 'medium': _medium, 'base': _base}
  configuring.apply(config, 'size', arg.size, **sizes)
  stages = {'both': _both, 'first': _first, 'second': _second, 'broad': _broad}
  configuring.apply(config, 'stage', arg.stage, **stages)
  return config


def _model() -> ml_collections.ConfigDict:
  return ml_collections.ConfigDict(
    {
      'network': 'fusenet',  # Or 'gbdf', the U-Net of Dai et al. (AAAI 2023), for comparison.
      'stem': (8, 16, 32),
      'widths': (32, 64, 160, 256),
      'depths': (2, 2, 2, 2),
      'attention': 8,
      'drop': 0.1,
      'levels': 10,  # Of gbdf.
      'width': 8,  # Of the first level of gbdf.
      'enlarge': 1,  # Factor by which maps are enlarged for the network; `refine` takes 3.
      'remat': False,
      'dtype': 'float32',
    }
  )


def _loss() -> ml_collections.ConfigDict:
  return ml_collections.ConfigDict(
    {
      'supervision': 'truth',  # Or 'gbdf': values of the low input, orders of the high one.
      'start': 0,  # Step from which the two losses below are added.
      'gradient': 0.5,  # lambda_1.
      'fusion': 0.1,  # lambda_2.
      'smoothness': 0.5,  # Weight of the gradients of the residual in L_gt.
      'label': 'gradient',  # Of the pseudo-labels; or 'disparity'.
      'edges': 0.05,  # Fraction of pixels with the strongest labels, for L_grad.
      'regions': 4,  # N_g, the number of groups of these pixels.
      'regions_by': 'position',  # Groups by K-means of their positions; or by 'strength'.
      'fraction': 0.02,  # a of L_fusion.
      'quantiles': 4,  # N_w.
      'sigma': 3.0,  # Of the bilateral filter of the first labels, pixels.
      'sigma_range': 0.1,  # Of that filter, as a fraction of the gradient's 95th percentile.
      'chunk': 4,  # Windows of an image that the network processes at once; fewer take less memory.
    }
  )


def _both(config: ml_collections.ConfigDict) -> None:
  del config  # The sizes have both stages.


def _first(config: ml_collections.ConfigDict) -> None:
  """Ground truth only."""
  config.steps, config.loss.start = config.loss.start, 0
  config.loss.gradient = config.loss.fusion = 0.0
  config.data.predictions.levels = 0
  config.optimizer.end = 0.1 * config.optimizer.peak


def _second(config: ml_collections.ConfigDict) -> None:
  """From weights of the first, half the batch: with labels an example costs 3x as much."""
  config.steps, config.loss.start = config.steps - config.loss.start, 0
  config.batch_size = max(1, config.batch_size // 2)
  config.optimizer.peak, config.optimizer.warmup = 0.2 * config.optimizer.peak, 20


def _broad(config: ml_collections.ConfigDict) -> None:
  """From weights of another stage: predictions of many resolutions, some noisy; smaller steps."""
  _first(config)
  config.steps = (4 * config.steps) // 5
  config.optimizer.peak, config.optimizer.end = 0.5 * config.optimizer.peak, 0.0
  config.data.margin = 0.015
  predictions = config.data.predictions
  predictions.low, predictions.high, predictions.max_coarsening = 0.3, 0.9, 5.0
  predictions.white_low = 0.05
  predictions.stereo_targets = 0.0  # Their edges are blurred.


def _base(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 7500, 16  # 3 x 40,000 examples.
  config.loss.start = 2500
  config.optimizer.peak, config.optimizer.warmup = 3e-4, 500
  config.data.height = config.data.width = 2048
  config.data.predictions.window_size = 1024
  config.loss.chunk = 1
  config.eval.every = config.checkpoint.every = 500


def _small(config: ml_collections.ConfigDict) -> None:
  config.steps, config.batch_size = 2200, 8
  config.loss.start = 2000
  config.optimizer.peak, config.optimizer.warmup = 1e-3, 100
  config.data.height = config.data.width = 256
  config.data.predictions.window_size = 128
  config.loss.sigma = 1.0
  config.model.levels = 7
  config.eval.every = config.checkpoint.every = 500


def _medium(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.steps, config.loss.start = 12_000, 10_000
  # The last features have half the input's size: edges as sharp as a pixel need 2x the input.
  config.model.enlarge = 2
  config.data.height = config.data.width = 512
  config.data.predictions.window_size = 256
  config.loss.sigma = 2.0
  config.input.workers = 12
  config.eval.every = config.checkpoint.every = 2000


def _smoke(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.steps, config.batch_size = 60, 2
  config.loss.start = 20
  config.model.stem, config.model.widths = (4, 8, 8), (8, 16, 40, 16)
  config.model.depths, config.model.attention = (1, 1, 1, 1), 1
  config.model.levels, config.model.width = 4, 4
  config.data.height = config.data.width = 128
  config.data.predictions.levels = 1
  config.eval.every = config.checkpoint.every = 30
  config.eval.examples = 8
  config.log_every = 10
