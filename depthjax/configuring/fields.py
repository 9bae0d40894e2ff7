"""Every field of a run, with its default: the engine's, and those that experiments share."""

import ml_collections


def defaults() -> ml_collections.ConfigDict:
  """Every field of the engine. `model`, `loss` and `render` are the experiment's to fill."""
  config = ml_collections.ConfigDict()
  config.task = ''  # A module of depthjax.tasks.
  config.seed = 0
  config.steps = 1000
  config.batch_size = 8  # Examples a step over all devices.
  config.microbatches = 1  # Gradients are averaged over this many parts of a batch in turn.
  config.ema = 0.999  # Decay of the averaged variables that are evaluated and exported.
  config.model = ml_collections.ConfigDict()
  config.loss = ml_collections.ConfigDict()
  config.data = scenes()
  config.render = ml_collections.ConfigDict()
  config.predictor = ml_collections.ConfigDict()
  config.predictor.weights = ''  # Of a frozen depth predictor, for a task that uses one.

  config.optimizer = _optimizer()

  config.initialise = ml_collections.ConfigDict()
  config.initialise.weights = ''  # A run's folder or its weights.safetensors.
  config.initialise.rules = (('.*', 'load'),)  # 'load' or 'fresh'.

  config.parallel = ml_collections.ConfigDict()
  config.parallel.mode = 'jit'  # jit over a mesh, or pmap.
  config.parallel.devices = 0  # How many to use of those at hand; 0 is all.
  config.parallel.fsdp = 1  # Devices over which parameters are split; the rest split the batch.
  # 'fsdp' or 'replicated'; paths of a frozen network begin with its name, 'predictor/params/...'.
  config.parallel.layouts = (('.*', 'fsdp'),)
  config.parallel.min_size = 4096  # Elements; arrays of fewer are never split.

  # `workers` are processes; 0 reads ahead with threads alone. `prefetch` are batches on the devices
  # before their step.
  config.input = ml_collections.ConfigDict({'workers': 0, 'threads': 2, 'prefetch': 2})

  config.eval = ml_collections.ConfigDict()
  config.eval.every = 500  # Steps; 0 is only at the end.
  config.eval.examples = 64
  config.eval.pictures = 4  # Examples drawn as pictures at each evaluation.

  config.checkpoint = ml_collections.ConfigDict()
  config.checkpoint.every = 500
  config.checkpoint.keep = 3  # Newest checkpoints kept.
  config.checkpoint.keep_every = 0  # Also kept for ever: every multiple of this; 0 is none.

  config.log_every = 50
  return config


def _optimizer() -> ml_collections.ConfigDict:
  return ml_collections.ConfigDict(
    {
      'name': 'adamw',  # Or 'adam', 'nadam', 'sgd' (whose momentum is beta1).
      # After the warmup: 'cosine', 'polynomial', 'exponential', 'onecycle' or 'constant'.
      'schedule': 'cosine',
      'peak': 1e-4,  # Learning rate after the warmup.
      'end': 1e-6,  # And at the last step.
      'warmup': 0,  # Steps.
      'power': 1.0,  # Of the polynomial schedule.
      'beta1': 0.9,
      'beta2': 0.999,
      'clip': 1.0,  # Global norm of the gradient; 0 does not clip.
      'weight_decay': 0.0,
      # (regex, factor) pairs over parameter paths, first match wins; factor 0 of `rates` freezes:
      # batch statistics stay too, though in training a batch is still normalised by its own.
      'weight_decay_factors': (('kernel$', 1.0), ('.*', 0.0)),
      'learning_rate_factors': (('.*', 1.0),),
    }
  )


def scenes() -> ml_collections.ConfigDict:
  """The drawn scenes that every system trains on: the fields of SceneConfig.

  And where photographs come from: 'builtin' (those inside scikit-image), a folder, 'tfds:NAME', or
  '' for procedural textures alone; foregrounds likewise, from a folder of photos and mattes.
  `scene_source` is '' to draw the scenes, or a folder of `depthjax prepare scenes`. Each may be
  several places with weights, 'builtin=0.3,/my/photos=0.7', or the URL of a folder; 'drawn' is
  drawing among the places of `scene_source`.
  """
  return ml_collections.ConfigDict(
    {
      'kind': 'scene',  # Of records, as in data/splits.py: 'scene' or 'predictions'.
      'scene_source': '',
      'photo_source': 'builtin',
      'foreground_source': '',
      'height': 320,
      'width': 320,
      'pad': 18,  # Beyond the frame on every side; at least the largest blur radius.
      'layers': 3,
      'photos': 0.6,  # Share of textures that are photographs, where there are any.
      'mattes': 0.6,  # Share of foregrounds cut out of photographs, where there are any.
      'camouflage': 0.15,
      'contrast': 0.25,
      'lights': 0.15,
      'softness': (0.5, 3.0),
      'visible': 0.3,
      'covers': (0.03, 0.7),
      'tilted_background': 0.5,
      'margin': 0.05,
      'on_plane': 0.5,
      'full_aperture': 0.7,
      'polygon': 0.3,
      'highlight': 0.5,
      'highlight_max': 10.0,
      'corruption': 0.7,
      'corruption_radius': 6,  # Pixels at a long side of 320.
      'corruption_sigma': 2.0,
    }
  )


def predictions() -> ml_collections.ConfigDict:
  """The table `data.predictions` of a refinement network: fields of PredictionConfig.

  With it `data` takes `depth_source` as well: '' to simulate predictions of drawn scenes.
  Amplitudes are shares of a map's range; those of `high` are those of windows, too.
  """
  return ml_collections.ConfigDict(
    {
      'levels': 3,  # Of windows: 4 + 9 + 16 a picture; 0 is none.
      'window_size': 128,  # Of the prediction of a window, pixels.
      'low': 0.22,  # Resolution of the prediction that is consistent, as a share of the side.
      'high': 0.6,  # And of the one that is sharp.
      'max_coarsening': 1.0,  # Both are divided by up to this, each record by factors of its own.
      'stereo_targets': 0.5,  # Share of targets as stereo makes them: blurred edges, holes.
      'augment': True,  # Flips, and near for far in a third of the examples.
      'relief': 1.0,  # How far surfaces leave their planes, of the room between these.
      'noise': 1.0,  # Factor of all the amplitudes below.
      'smooth_shared': 0.05,  # Smooth error that all predictions of a picture share.
      'smooth_low': 0.02,  # Smooth error of each prediction.
      'smooth_high': 0.06,
      'offset_low': 0.02,  # Offsets of regions between edges, patch by patch.
      'offset_high': 0.07,
      'gain_low': 0.1,  # Factors of their own relief.
      'gain_high': 0.5,
      'patch_low': 0.5,  # Sides of the patches, shares of the picture's.
      'patch_high': 0.5,
      'edge_low': 0.2,  # Gaussians on edges, shares of the step there.
      'edge_high': 0.2,
      'white_low': 0.0,  # White noise, at most; half of the records have none.
    }
  )


def lens() -> ml_collections.ConfigDict:
  """How scenes are seen through a lens, and what the networks see of them: fields of tasks.dof."""
  return ml_collections.ConfigDict(
    {
      'samples': 256,  # Points of the lens.
      'radius': 8,  # Largest blur radius r^m at half the resolution, pixels.
      'steepness': 2.0,  # The largest radius is reached at 1 / 2.0 of the range of disparity.
      'disparity': 'corrupted',  # What the networks see; or 'true', or 'predicted'.
      'band': 8,  # Pixels within this distance of a depth edge count as its band.
    }
  )


def small_lens(config: ml_collections.ConfigDict) -> None:
  """Scenes and lens for a laptop: half the paper's blur radius in pixels on small crops.

  The errors of the simulated predictor stay as large against the blur as the paper's 6 px
  against 8.
  """
  config.data.height = config.data.width = 96
  config.data.pad, config.render.radius, config.render.band = 10, 4, 6
  config.data.corruption_radius, config.data.corruption_sigma = 20, 6.0
  # The gain of a clipped highlight cannot be seen. In a short run strong ones drown the rest.
  config.data.highlight, config.data.highlight_max = 0.2, 3.0
  config.render.samples = 64
