"""Experiments as pure functions; `make` finds one by the name in its config."""

import ml_collections

from depthjax.models.predictors import runs
from depthjax.tasks import aperture, deeplens_depth, lensblur, regression, sddr
from depthjax.tasks.task import Env, Task

# Each task's `make`, and the kind of records that it learns from.
_TASKS = {
  'aperture': (aperture.make, 'scene'),
  'deeplens_depth': (deeplens_depth.make, 'scene'),
  'lensblur': (lensblur.make, 'scene'),
  'regression': (regression.make, 'scene'),
  'sddr': (sddr.make, 'predictions'),
}

# Task -> the predictor that a run of it trains, by its config.
PREDICTORS = runs.DESCRIBED


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task that `config.task` names.

  Args:
    config: the whole config of the experiment.
    env: the map over examples, the axis of batch statistics, and frozen networks.

  Raises:
    ValueError: no such task, another kind of records, or what the task refuses of its config.
  """
  if config.task not in _TASKS:
    raise ValueError(f'task is {config.task!r}; there are {", ".join(_TASKS)}')
  function, kind = _TASKS[config.task]
  if config.data.kind != kind:
    raise ValueError(
      f'data.kind is {config.data.kind!r}; the task {config.task!r} learns from {kind!r}'
    )
  return function(config, env)
