"""Experiments as pure functions; `make` finds one by the name in its config."""

import ml_collections

from depthjax.models.predictors import runs
from depthjax.tasks import aperture, deeplens_depth, lensblur, regression, sddr
from depthjax.tasks.task import Env, Task

_TASKS = {
  'aperture': aperture.make,
  'deeplens_depth': deeplens_depth.make,
  'lensblur': lensblur.make,
  'regression': regression.make,
  'sddr': sddr.make,
}

# Task -> the predictor that a run of it trains, by its config.
PREDICTORS = runs.DESCRIBED


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task that `config.task` names.

  Args:
    config: the whole config of the experiment.
    env: the map over examples, the axis of batch statistics, and frozen networks.

  Raises:
    ValueError: no such task, or what the task refuses of its config.
  """
  if config.task not in _TASKS:
    raise ValueError(f'task is {config.task!r}; there are {", ".join(_TASKS)}')
  return _TASKS[config.task](config, env)
