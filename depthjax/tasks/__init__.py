"""Tasks: what is trained, as pure functions. `make` finds one by the name in its config."""

import ml_collections

from depthjax import plugins
from depthjax.models.predictors import runs, segmenter
from depthjax.tasks import (
  aperture,
  deeplens_depth,
  layered,
  lensblur,
  monocular,
  regression,
  sddr,
  segment,
)
from depthjax.tasks.task import Env, Task

# Each task's `make`, its kind of records (data.kind), and whether it can use a frozen predictor.
_TASKS = {
  'aperture': (aperture.make, 'scene', False),
  'deeplens_depth': (deeplens_depth.make, 'scene', False),
  'monocular': (monocular.make, 'scene', False),
  'layered': (layered.make, 'masked', False),
  'lensblur': (lensblur.make, 'scene', True),
  'regression': (regression.make, 'scene', True),
  'sddr': (sddr.make, 'predictions', False),
  'segment': (segment.make, 'scene', False),
}

# For each task that trains a depth predictor: the config of a run -> the predictor.
PREDICTORS = runs.FROM_CONFIG
# Likewise for segmenters of glass and mirrors.
SEGMENTERS = {'segment': segmenter.from_config}


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task that `config.task` names: one of this package, or as in `plugins`.

  Raises:
    ValueError: unknown task, wrong kind of records, a frozen predictor that the task does not use,
      or invalid values of the task's fields.
  """
  found = plugins.find('tasks', config.task, 'task', _TASKS)
  if config.task not in _TASKS:
    return found(config, env)
  function, kind, uses_predictor = found
  if config.data.kind != kind:
    raise ValueError(
      f'data.kind is {config.data.kind!r}; it must be {kind!r} for the task {config.task!r}'
    )
  if env.frozen and not uses_predictor:
    raise ValueError(
      f'the task {config.task!r} uses no depth predictor; predictor.weights must be empty'
    )
  return function(config, env)
