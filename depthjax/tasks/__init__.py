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
  tom,
)
from depthjax.tasks.task import Env, Task

# Each task's `make`, its kinds of records (data.kind), and the frozen networks that it can use.
_TASKS = {
  'aperture': (aperture.make, ('scene',), ()),
  'deeplens_depth': (deeplens_depth.make, ('scene',), ()),
  'monocular': (monocular.make, ('scene',), ()),
  'layered': (layered.make, ('masked',), ()),
  'lensblur': (lensblur.make, ('scene',), ('predictor',)),
  'regression': (regression.make, ('scene',), ('predictor',)),
  'sddr': (sddr.make, ('predictions',), ()),
  'segment': (segment.make, ('scene', 'labelled'), ()),
  'tom': (tom.make, ('scene', 'labelled'), ('predictor', 'segmenter')),
}

# For each task that trains a depth predictor: the config of a run -> the predictor.
PREDICTORS = runs.FROM_CONFIG
# Likewise for segmenters of glass and mirrors.
SEGMENTERS = segmenter.FROM_CONFIG


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task that `config.task` names: one of this package, or as in `plugins`.

  Raises:
    ValueError: unknown task, wrong kind of records, a frozen predictor that the task does not use,
      or invalid values of the task's fields.
  """
  found = plugins.find('tasks', config.task, 'task', _TASKS)
  if config.task not in _TASKS:
    return found(config, env)
  function, kinds, networks = found
  if config.data.kind not in kinds:
    right = f'{" or ".join(map(repr, kinds))} for the task {config.task!r}'
    raise ValueError(f'data.kind is {config.data.kind!r}; it must be {right}')
  for name in env.frozen:
    if name not in networks:
      wrong = f'the task {config.task!r} uses no frozen {name}'
      raise ValueError(f'{wrong}; {name}.weights must be empty')
  return function(config, env)
