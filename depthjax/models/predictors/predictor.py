"""The contract of a depth predictor, as data, and what it says of photographs.

Shapes: b batch, h w rows and columns of the photograph.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from depthjax.ops import disparity as disparity_lib
from depthjax.ops import resize

_SMALLEST_DEPTH = 1e-6


class Predictor(NamedTuple):
  """A depth predictor.

  Fields:
    name: what it is called, such as 'deeplens_depth'.
    network: a module whose method `predict` maps photographs at the network's size, normalised
      by `mean` and `std`, [b h w 3] -> [b h w 1].
    input_size: the size that it was trained at, px.
    input_rule: which side has this size: 'long', 'short', or both ('square').
    multiple: what must divide both sides.
    output: 'disparity' (near is large) or 'depth' (far is large).
    metric: whether the output is in metres, or 1/m; else its scale and offset are unknown.
    mean, std: of sRGB values in [0, 1], by channel.
    variables: the network's, or None where they are given beside it.
  """

  name: str
  network: nn.Module
  input_size: int
  input_rule: str = 'long'
  multiple: int = 1
  output: str = 'disparity'
  metric: bool = False
  mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
  std: tuple[float, float, float] = (1.0, 1.0, 1.0)
  variables: Any = None


def frame(
  predictor: Predictor, shape: tuple[int, int], input_size: int | None = None
) -> tuple[int, int]:
  """The size (h, w) at which the network sees a photograph of a size (h, w).

  Args:
    input_size: instead of the size that it was trained at, px.
  """
  size = input_size or predictor.input_size
  if predictor.input_rule == 'square':
    shape = (size, size)
  elif predictor.input_rule == 'short':
    size = size * max(shape) / min(shape)
  return resize.frame(shape, size, predictor.multiple)


def raw(predictor: Predictor, variables: Any, image: jax.Array) -> jax.Array:
  """The network's output, of unknown range and near is large, at the network's size.

  Disparity is returned as it is; depth is inverted, or negated where it is not metric.

  Args:
    image: sRGB in [0, 1] at the network's size, [b h w 3].

  Returns:
    float32 [b h w 1], near is large.
  """
  mean, std = (np.asarray(x, np.float32) for x in (predictor.mean, predictor.std))
  image = (image - mean[None, None, None]) / std[None, None, None]
  output = predictor.network.apply(variables, image, method='predict')
  if predictor.output == 'disparity':
    return output
  return 1 / jnp.maximum(output, _SMALLEST_DEPTH) if predictor.metric else -output


def disparity(predictor: Predictor, variables: Any, image: jax.Array) -> jax.Array:
  """Normalised disparity of photographs of any size.

  Args:
    image: sRGB in [0, 1], [b h w 3].

  Returns:
    [b h w 1] in [0, 1], 1 the nearest.
  """
  shape = frame(predictor, image.shape[1:3])
  return disparity_lib.predict(lambda x: raw(predictor, variables, x), image, shape)
