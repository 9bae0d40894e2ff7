"""Disparity of a photograph of any size by a depth predictor: h w its rows and columns."""

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.files import weights
from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors import runs
from depthjax.models.predictors.predictor import Predictor
from depthjax.ops import disparity as disparity_lib


def load(path: str | os.PathLike) -> Predictor:
  """The predictor of a run's folder or its weights.safetensors, with its variables.

  Raises:
    files.errors.InputError: the file cannot be read or is of another task.
  """
  predictor, variables = weights.load_network(path, runs.FROM_CONFIG)
  return predictor._replace(variables=variables)


def predict(photo: np.ndarray, predictor: Predictor, input_size: int | None = None) -> np.ndarray:
  """Normalised disparity of a photograph, 0 the farthest and 1 the nearest.

  The network sees the whole photograph at once, brought to the size that it was trained at: what is
  near can be told from the picture alone, not from a tile.

  Args:
    photo: sRGB in [0, 1], [h w 3].
    predictor: as `load` gives it, with its variables.
    input_size: instead of the size that it was trained at, px.

  Returns:
    float32 [h w 1]; zeros where the network tells no difference at all.

  Raises:
    ValueError: the photograph has another shape.
  """
  if photo.ndim != 3 or photo.shape[-1] != 3 or not photo.size:
    raise ValueError(f'the photograph has the shape {list(photo.shape)}; it must be [h w 3]')
  raw = functools.partial(_compiled(predictor._replace(variables=None)), predictor.variables)
  image = jnp.asarray(photo, jnp.float32)[None]
  shape = predictors.frame(predictor, photo.shape[:2], input_size)
  return np.asarray(disparity_lib.predict(raw, image, shape)[0])


@functools.cache
def _compiled(predictor: Predictor):
  """The network, compiled once for each shape."""
  return jax.jit(functools.partial(predictors.raw, predictor))
