"""The fields of a config and their defaults: those of every run, of scenes, and of a lens."""

import dataclasses

import ml_collections

from depthjax.data.records.prediction_config import PredictionConfig
from depthjax.data.scenes.config import SceneConfig


def defaults() -> ml_collections.ConfigDict:
  """The fields of every run; an experiment fills the tables `model`, `loss` and `render`."""
  config = ml_collections.ConfigDict()
  config.task = ''  # A module of depthjax.tasks.
  config.seed = 0
  config.steps = 1000
  config.batch_size = 8  # Examples per step, over all devices.
  config.microbatches = 1  # Parts of a batch, computed in turn; their gradients are averaged.
  config.ema = 0.999  # Decay of the averaged variables, which are evaluated and exported.
  config.model = ml_collections.ConfigDict()
  config.loss = ml_collections.ConfigDict()
  config.data = scenes()
  config.render = ml_collections.ConfigDict()
  config.predictor = ml_collections.ConfigDict()
  config.predictor.weights = ''  # Of a frozen depth predictor, for tasks that use one.

  config.optimizer = _optimizer()

  config.initialise = ml_collections.ConfigDict()
  config.initialise.weights = ''  # Folder of a run, or a weights.safetensors.
  config.initialise.rules = (('.*', 'load'),)  # 'load' or 'fresh'.

  config.parallel = ml_collections.ConfigDict()
  config.parallel.mode = 'jit'  # jit over a mesh, or pmap.
  config.parallel.devices = 0  # Number of devices to use; 0 is all.
  config.parallel.fsdp = 1  # Devices over which parameters are sharded; the batch is over all.
  # 'fsdp' or 'replicated' by path; those of a frozen network begin with 'predictor/params/'.
  config.parallel.layouts = (('.*', 'fsdp'),)
  config.parallel.min_size = 4096  # Smaller arrays (in elements) are replicated.

  # Worker processes (0: threads alone), threads of each, and batches sent to devices in advance.
  config.input = ml_collections.ConfigDict({'workers': 0, 'threads': 2, 'prefetch': 2})

  config.eval = ml_collections.ConfigDict()
  config.eval.every = 500  # Steps between evaluations; 0 evaluates only at the end.
  config.eval.examples = 64
  config.eval.pictures = 4  # Examples whose pictures are saved at each evaluation.

  config.checkpoint = ml_collections.ConfigDict()
  config.checkpoint.every = 500
  config.checkpoint.keep = 3  # Number of newest checkpoints that are kept.
  config.checkpoint.keep_every = 0  # Steps that are multiples of this are kept for good; 0 is none.

  config.log_every = 50
  return config


def _optimizer() -> ml_collections.ConfigDict:
  return ml_collections.ConfigDict(
    {
      'name': 'adamw',  # Or 'adam', 'nadam', 'sgd' (whose momentum is beta1).
      'schedule': 'cosine',  # Or 'polynomial', 'exponential', 'onecycle', 'constant'.
      'peak': 1e-4,  # Learning rate after the warmup.
      'end': 1e-6,  # Learning rate at the last step.
      'warmup': 0,  # Steps of linear warmup.
      'power': 1.0,  # Of the polynomial schedule.
      'beta1': 0.9,
      'beta2': 0.999,
      'clip': 1.0,  # Global norm of the gradient; 0 does not clip.
      'weight_decay': 0.0,
      # (regex, factor) pairs over parameter paths; the first match wins. A learning-rate factor of
      # 0 freezes a parameter and the running statistics of its module.
      'weight_decay_factors': (('kernel$', 1.0), ('.*', 0.0)),
      'learning_rate_factors': (('.*', 1.0),),
    }
  )


def scenes() -> ml_collections.ConfigDict:
  """The table `data`: sources of records, and the fields of SceneConfig.

  A photo source is 'builtin' (the photos inside scikit-image), a folder, a URL, 'tfds:NAME', or ''
  for procedural textures alone; a foreground source is a folder of photos and mattes. Several
  sources with weights are 'builtin=0.3,/my/photos=0.7'; in `scene_source`, 'drawn' draws.
  """
  sources = {
    'kind': 'scene',  # Of records, by the table in data/splits.py: 'scene' or 'predictions'.
    'scene_source': '',  # '' draws them; or a folder of `depthjax prepare scenes`.
    'photo_source': 'builtin',
    'foreground_source': '',
  }
  return ml_collections.ConfigDict({**sources, **dataclasses.asdict(SceneConfig())})


def predictions() -> ml_collections.ConfigDict:
  """The table `data.predictions`: the fields of PredictionConfig.

  With it `data` has `depth_source` as well: '' simulates predictions of drawn scenes.
  """
  return ml_collections.ConfigDict(dataclasses.asdict(PredictionConfig()))


def lens() -> ml_collections.ConfigDict:
  """The table `render`: how a lens sees the scenes. Fields of tasks.dof."""
  return ml_collections.ConfigDict(
    {
      'samples': 256,  # Points of the aperture.
      'radius': 8,  # Largest blur radius r^m at half the resolution, pixels.
      'steepness': 2.0,  # The blur radius is largest at 1 / steepness from the focus.
      'relief': False,  # Whether the lens sees the relief of the layers, or their planes alone.
      'disparity': 'corrupted',  # What networks get: 'corrupted', 'true' or 'predicted'.
      'band': 8,  # Pixels within this distance of a depth edge count as near it.
    }
  )
