"""Experiments as pure functions; `make` finds one by the name in its config."""

import importlib

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
  """The task that `config.task` names: one of this package, or 'module:function' of a user's.

  Args:
    config: the whole config of the experiment.
    env: the map over examples, the axis of batch statistics, and frozen networks.

  Raises:
    ValueError: no such task or module, another kind of records, or a field that the task refuses.
  """
  if ':' in config.task:
    return _imported(config.task)(config, env)
  if config.task not in _TASKS:
    raise ValueError(f"task is {config.task!r}; it can be {', '.join(_TASKS)} or 'module:function'")
  function, kind = _TASKS[config.task]
  if config.data.kind != kind:
    raise ValueError(
      f'data.kind is {config.data.kind!r}; the task {config.task!r} learns from {kind!r}'
    )
  return function(config, env)


def _imported(name: str):
  """The function 'module:function', imported from the working directory or an installed package."""
  module, _, function = name.partition(':')
  try:
    return getattr(importlib.import_module(module), function)
  except (ImportError, AttributeError, ValueError) as error:
    raise ValueError(f'task is {name!r}, which cannot be imported: {error}') from error
