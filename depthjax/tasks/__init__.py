"""Experiments as pure functions; `make` finds one by the name in its config."""

from collections.abc import Callable

import ml_collections

from depthjax.tasks import depth, lensblur
from depthjax.tasks.task import Task

_TASKS = {'depth': depth.make, 'lensblur': lensblur.make}


def make(config: ml_collections.ConfigDict, *, each: Callable, axis_name: str | None) -> Task:
  """The task that `config.task` names; `each` and `axis_name` as in depthjax.parallel.

  Raises:
    ValueError: no such task.
  """
  if config.task not in _TASKS:
    raise ValueError(f'task is {config.task!r}; there are {", ".join(_TASKS)}')
  return _TASKS[config.task](config, each=each, axis_name=axis_name)
