"""Disparity of a photograph of any size by a trained depth net: h w its rows and columns."""

import functools
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.files import weights
from depthjax.models.deeplens import depthnet
from depthjax.ops import disparity as disparity_lib
from depthjax.ops import resize


class Predictor(NamedTuple):
  """A trained depth net: the network, its variables, and the long side it was trained at (px)."""

  model: depthnet.DepthNet
  variables: dict[str, Any]
  long_side: int


def load(path: str | os.PathLike) -> Predictor:
  """The predictor of a run's folder or its weights.safetensors.

  Raises:
    files.errors.InputError: the file cannot be read or is of another task.
  """
  (model, long_side), variables = weights.load_network(path, 'depth', depthnet.described)
  return Predictor(model, variables, long_side)


def predict(photo: np.ndarray, predictor: Predictor) -> np.ndarray:
  """Normalised disparity of a photograph, 0 the farthest and 1 the nearest.

  The network sees the whole photograph at once, brought to the size that it was trained at: what is
  near can be told from the picture alone, not from a tile.

  Args:
    photo: sRGB in [0, 1], [h w 3].
    predictor: as `load` gives it.

  Returns:
    float32 [h w 1]; zeros where the network tells no difference at all.

  Raises:
    ValueError: the photograph has another shape.
  """
  if photo.ndim != 3 or photo.shape[-1] != 3 or not photo.size:
    raise ValueError(f'the photograph has the shape {list(photo.shape)}; it must be [h w 3]')
  network = functools.partial(_compiled(predictor.model), predictor.variables)
  image = jnp.asarray(photo, jnp.float32)[None]
  small = frame(photo.shape[:2], predictor.long_side)
  return np.asarray(disparity_lib.predict(network, image, small)[0])


def frame(shape: tuple[int, int], long_side: int) -> tuple[int, int]:
  """The size (h, w) at which the network sees a photograph: multiples of 8, squeezed a little.

  Args:
    shape: (h, w) of the photograph.
    long_side: pixels of the longer one.
  """
  return resize.frame(shape, long_side, depthnet.STRIDE)


@functools.cache
def _compiled(model: depthnet.DepthNet):
  """The stream of disparity alone, compiled once for each shape."""
  return jax.jit(lambda variables, image: model.apply(variables, image, False)['disparity'])
