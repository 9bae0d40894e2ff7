"""Loads depth predictors for the commands."""

from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import predictors


def load(which: str) -> Predictor:
  """Loads a predictor: a name, a run or a file."""
  return predictors.load(which)
