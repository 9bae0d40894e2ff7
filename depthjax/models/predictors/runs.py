"""Predictors that training runs produce, by the run's task."""

from collections.abc import Callable, Mapping
from typing import Any

from depthjax.models.deeplens import depthnet
from depthjax.models.predictors.predictor import Predictor

# For each task: the config of a run -> the predictor, and the shapes of its variables.
FROM_CONFIG: Mapping[str, Callable[[Mapping[str, Any]], tuple[Predictor, Any]]] = {
  'deeplens_depth': depthnet.from_config
}
