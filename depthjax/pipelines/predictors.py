"""Depth predictors by name, from a training run, or from a file."""

import os

from depthjax.files import weights
from depthjax.models.predictors import runs
from depthjax.models.predictors.predictor import Predictor


def load(which: str | os.PathLike) -> Predictor:
  """Loads a predictor with its variables.

  Args:
    which: a name of models.predictors.catalogue; or the path of a run's folder, of a
      weights.safetensors file of depthjax, or of a folder as on the Hub (config.json and
      model.safetensors). A name wins over a path.

  Raises:
    files.errors.InputError: an unknown name, with the nearest ones; the file cannot be read or
      downloaded, or holds weights of another network.
  """
  predictor, variables = weights.load_network(which, runs.FROM_CONFIG)
  return predictor._replace(variables=variables)
