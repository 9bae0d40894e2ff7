"""Tasks: what is trained, as pure functions. `make` finds one by the name in its config."""

import importlib

import ml_collections

from depthjax.models.predictors import runs
from depthjax.tasks import aperture, deeplens_depth, lensblur, regression, sddr
from depthjax.tasks.task import Env, Task

# Each task's `make`, and its kind of records (data.kind).
_TASKS = {
  'aperture': (aperture.make, 'scene'),
  'deeplens_depth': (deeplens_depth.make, 'scene'),
  'lensblur': (lensblur.make, 'scene'),
  'regression': (regression.make, 'scene'),
  'sddr': (sddr.make, 'predictions'),
}

# For each task that trains a depth predictor: the config of a run -> the predictor.
PREDICTORS = runs.FROM_CONFIG


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task that `config.task` names: one of this package, or 'module:function' of a user's.

  Args:
    config: the experiment's config.
    env: the map over examples, the axis of batch statistics, and frozen networks.

  Raises:
    ValueError: unknown task, wrong kind of records, or invalid values of the task's fields.
  """
  if ':' in config.task:
    return _imported(config.task)(config, env)
  if config.task not in _TASKS:
    raise ValueError(f"task is {config.task!r}; it can be {', '.join(_TASKS)} or 'module:function'")
  function, kind = _TASKS[config.task]
  if config.data.kind != kind:
    raise ValueError(
      f'data.kind is {config.data.kind!r}; it must be {kind!r} for the task {config.task!r}'
    )
  return function(config, env)


def _imported(name: str):
  """The function 'module:function', imported from the working directory or an installed package."""
  module, _, function = name.partition(':')
  try:
    return getattr(importlib.import_module(module), function)
  except (ImportError, AttributeError, ValueError) as error:
    raise ValueError(f'task is {name!r}, which cannot be imported: {error}') from error
