"""Experiments as pure functions; `make` finds one by the name in its config."""

from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from depthjax.tasks import aperture, deeplens_depth, lensblur, regression, sddr
from depthjax.tasks.task import Task

_TASKS = {
  'aperture': aperture.make,
  'depth': deeplens_depth.make,
  'lensblur': lensblur.make,
  'regression': regression.make,
  'sddr': sddr.make,
}


def make(
  config: ml_collections.ConfigDict,
  *,
  each: Callable,
  axis_name: str | None,
  predictor: tuple[Mapping[str, Any], Any, int] | None = None,
) -> Task:
  """The task that `config.task` names.

  Args:
    config: the whole config of the experiment.
    each, axis_name: as in depthjax.parallel.
    predictor: variables, network and long side (px) of a trained depth net, for a task that looks
      through its eyes and does not train it.

  Raises:
    ValueError: no such task, or what the task refuses of its config.
  """
  if config.task not in _TASKS:
    raise ValueError(f'task is {config.task!r}; there are {", ".join(_TASKS)}')
  function = deeplens_depth.predictor(*predictor) if predictor else None
  return _TASKS[config.task](config, each=each, axis_name=axis_name, predictor=function)
