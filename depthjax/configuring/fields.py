"""The fields of a config and their defaults: those of every run, of scenes, and of a lens."""

import dataclasses

import ml_collections

from depthjax.data.records.labelled_config import LabelledConfig
from depthjax.data.records.masked_config import MaskedConfig
from depthjax.data.records.prediction_config import PredictionConfig
from depthjax.data.scenes.config import SceneConfig

_OPTIMIZER = {
  'name': 'adamw',  # Or 'adam', 'nadam', 'sgd' (whose momentum is beta1).
  'schedule': 'cosine',  # Or 'polynomial', 'exponential', 'staircase', 'onecycle', 'constant'.
  'peak': 1e-4,  # Learning rate after the warmup.
  'end': 1e-6,  # Learning rate at the last step.
  'warmup': 0,  # Steps of linear warmup.
  'power': 1.0,  # Of the polynomial schedule; number of steps of the staircase.
  'beta1': 0.9,
  'beta2': 0.999,
  'clip': 1.0,  # Largest global norm of the gradient; 0 does not clip.
  'weight_decay': 0.0,
  # (regex, factor) pairs over parameter paths; the first match wins. A learning-rate factor of
  # 0 freezes a parameter and the running statistics of its module.
  'weight_decay_factors': (('kernel$', 1.0), ('.*', 0.0)),
  'learning_rate_factors': (('.*', 1.0),),
}


def defaults() -> ml_collections.ConfigDict:
  """The fields of every run; an experiment fills the tables `model`, `loss` and `render`."""
  fields = {
    'task': '',  # A module of depthjax.tasks.
    'seed': 0,
    'steps': 1000,
    'batch_size': 8,  # Examples per step, over all devices.
    'microbatches': 1,  # Parts of a batch, computed in turn; their gradients are averaged.
    'ema': 0.999,  # Decay of the averaged variables, which are evaluated and exported.
    'model': {},
    'loss': {},
    'data': scenes(),
    'render': {},
    'predictor': {'weights': ''},  # Of a frozen depth predictor, for tasks that use one.
    'segmenter': {'weights': ''},  # Likewise, of a frozen segmenter of glass and mirrors.
    'optimizer': _OPTIMIZER,
    # Weights: folder of a run, or a weights.safetensors. Rules: 'load' or 'fresh' by path.
    'initialise': {'weights': '', 'rules': (('.*', 'load'),)},
    'parallel': {
      'mode': 'jit',  # jit over a mesh, or pmap.
      'devices': 0,  # Number of devices to use; 0 is all.
      'fsdp': 1,  # Devices over which parameters are sharded; the batch is over all.
      # 'fsdp' or 'replicated' by path; those of a frozen network begin with 'predictor/params/' or
      # 'segmenter/params/'.
      'layouts': (('.*', 'fsdp'),),
      'min_size': 4096,  # Smaller arrays (in elements) are replicated.
    },
    # Worker processes (0: threads only), threads of each, batches sent to devices in advance.
    'input': {'workers': 0, 'threads': 2, 'prefetch': 2},
    'eval': {
      'every': 500,  # Steps between evaluations; 0: only at the end.
      'examples': 0,  # At most so many of a split; 0: all, or 64 of scenes drawn without end.
      'batch_size': 0,  # Rounded up to a multiple of the devices; 0: that of training.
      'pictures': 4,  # Examples with saved pictures.
    },
    # Steps between checkpoints (0: only at the end), number of newest ones that are kept; the one
    # with the lowest loss, and those at multiples of `keep_every` steps (0: none), are kept too.
    'checkpoint': {'every': 500, 'keep': 3, 'keep_every': 0},
    'log_every': 50,
    # Weights & Biases besides metrics.jsonl and TensorBoard; needs depthjax[wandb].
    'log': {'wandb': False},
  }
  return ml_collections.ConfigDict(fields)


def scenes() -> ml_collections.ConfigDict:
  """The table `data`: sources of records, and the fields of SceneConfig.

  A photo source is 'builtin' (the photos of scikit-image), a folder, a URL, 'tfds:NAME', or '' for
  procedural textures only. A foreground source is a folder of photos and mattes. Several sources
  are given with weights: 'builtin=0.3,/my/photos=0.7'; 'drawn' in `scene_source` draws scenes.
  """
  sources = {
    'kind': 'scene',  # Of records: 'scene', 'labelled' or others, the table in data/splits.py.
    'scene_source': '',  # '' draws scenes; or a folder of `depthjax prepare scenes`.
    'photo_source': 'builtin',
    'foreground_source': '',
  }
  return ml_collections.ConfigDict({**sources, **dataclasses.asdict(SceneConfig())})


def predictions() -> ml_collections.ConfigDict:
  """The table `data.predictions`: the fields of PredictionConfig.

  `data` then has the field `depth_source` too: '' simulates predictions of drawn scenes.
  """
  return ml_collections.ConfigDict(dataclasses.asdict(PredictionConfig()))


def masked() -> ml_collections.ConfigDict:
  """The table `data.masked`: the fields of MaskedConfig.

  `data` then has `depth_source` and the table `data.predictions` too: '' draws scenes.
  """
  return ml_collections.ConfigDict(dataclasses.asdict(MaskedConfig()))


def labelled() -> ml_collections.ConfigDict:
  """The table `data.labelled`: the fields of LabelledConfig.

  `data` then has the field `label_source` too: a folder, a URL or 'tfds:NAME', or several.
  """
  return ml_collections.ConfigDict(dataclasses.asdict(LabelledConfig()))


def lens() -> ml_collections.ConfigDict:
  """The table `render`: rendering through a lens, by tasks.dof."""
  fields = {
    'samples': 256,  # Points of the aperture.
    'radius': 8,  # Largest blur radius r^m at half the resolution, pixels.
    'steepness': 2.0,  # The blur radius is largest at a disparity 1 / steepness from the focus.
    'relief': False,  # Whether the lens sees the relief of the layers, or only their planes.
    'disparity': 'corrupted',  # Input of networks: 'corrupted', 'true' or 'predicted'.
    'band': 8,  # Pixels within this distance of a depth edge count as near it.
  }
  return ml_collections.ConfigDict(fields)
