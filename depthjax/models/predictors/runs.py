"""Predictors of training runs and of converted checkpoints, by their task."""

from collections.abc import Callable, Mapping
from typing import Any

from depthjax import plugins
from depthjax.models.deeplens import depthnet
from depthjax.models.predictors import published
from depthjax.models.predictors.predictor import Predictor


class _FromConfig(dict):
  """Finds the predictors of other packages too: of the task's name, or in the task's module."""

  def __missing__(self, task: str) -> Callable[[Mapping[str, Any]], tuple[Predictor, Any]]:
    own = task in plugins.names('models')
    name = task if own else plugins.reference('tasks', task).partition(':')[0]
    try:
      return plugins.find('models', name, 'task', {})
    except ValueError as error:
      raise KeyError(task) from error


# For each task: the config of a run -> the predictor, and the shapes of its variables.
FROM_CONFIG: Mapping[str, Callable[[Mapping[str, Any]], tuple[Predictor, Any]]] = _FromConfig(
  deeplens_depth=depthnet.from_config, monocular=published.from_config
)
