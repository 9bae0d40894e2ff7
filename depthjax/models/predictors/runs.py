"""Predictors that a training run wrote, by the run's task."""

from collections.abc import Callable, Mapping
from typing import Any

from depthjax.models.deeplens import depthnet
from depthjax.models.predictors.predictor import Predictor

# Task -> its config -> the predictor, and the shapes of its variables.
DESCRIBED: Mapping[str, Callable[[Mapping[str, Any]], tuple[Predictor, Any]]] = {
  'deeplens_depth': depthnet.described
}
