"""Disparity of a photograph of any size from a depth predictor. Shapes: h w of the photograph."""

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
  """Loads the predictor, with its variables, from a run's folder or a weights.safetensors file.

  Raises:
    files.errors.InputError: the file cannot be read or holds weights of another task.
  """
  predictor, variables = weights.load_network(path, runs.FROM_CONFIG)
  return predictor._replace(variables=variables)


def predict(photo: np.ndarray, predictor: Predictor, input_size: int | None = None) -> np.ndarray:
  """Normalised disparity of a photograph: 0 is the farthest pixel, 1 the nearest.

  The photograph is resized to the network's input size and not tiled, because the order of depths
  depends on the global context.

  Args:
    photo: sRGB in [0, 1], [h w 3].
    predictor: a predictor with its variables, see `load`.
    input_size: network input size in pixels; default: the size used in training.

  Returns:
    float32 [h w 1]; zeros where the predicted disparity is constant.

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
  """The network, compiled once for each input shape."""
  return jax.jit(functools.partial(predictors.raw, predictor))
