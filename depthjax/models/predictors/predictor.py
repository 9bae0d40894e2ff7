"""A depth predictor as data, and the disparity that it predicts for photographs.

Shapes: b batch, h w rows and columns of the photograph.
"""

import numbers
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from depthjax.ops import disparity as disparity_lib
from depthjax.ops import resize

# Mean and standard deviation of ImageNet, by channel, of sRGB in [0, 1].
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SMALLEST_DEPTH = 1e-6
# Limit of the long side over the input size where that is of the short side: memory.
_LONGEST = 4


class Predictor(NamedTuple):
  """A depth predictor.

  The method `predict` of `network` maps photographs of its input size, normalised by `mean` and
  `std`, [b h w 3] -> [b h w 1].
  """

  name: str  # Such as 'deeplens_depth'.
  network: nn.Module
  input_size: int  # In training, px.
  input_rule: str = 'long'  # Which side has this size: 'long', 'short', or both ('square').
  multiple: int = 1  # Height and width must be multiples of it.
  output: str = 'disparity'  # Near is large; or 'depth', far is large.
  metric: bool = False  # In metres or 1/m; otherwise scale and offset are unknown.
  mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # Of sRGB values in [0, 1], by channel.
  std: tuple[float, float, float] = (1.0, 1.0, 1.0)
  # How photographs are resized to the input size: 'light', antialiased in linear light, as in
  # training; or 'cubic', OpenCV's bicubic of sRGB, as the published networks expect it.
  resizing: str = 'light'
  variables: Any = None  # The network's, or None where they are passed separately.


def frame(
  predictor: Predictor, shape: tuple[int, int], input_size: int | None = None
) -> tuple[int, int]:
  """The network's input size (h, w) for a photograph of size `shape`, (h, w).

  `input_size` replaces the input size in training, px. Under the rule 'short' the long side is at
  most 4 times that in training: of a photograph that is more elongated, the short side is smaller.

  Raises:
    ValueError: the input size is not a positive integer.
  """
  size = predictor.input_size if input_size is None else input_size
  if not isinstance(size, numbers.Integral) or size < 1:
    raise ValueError(f'the input size is {size!r}; it must be a positive integer')
  if predictor.input_rule == 'square':
    shape = (size, size)
  elif predictor.input_rule == 'short':
    size = min(size * max(shape) / min(shape), _LONGEST * predictor.input_size)
  return resize.frame(shape, size, predictor.multiple)


def output(predictor: Predictor, variables: Any, image: jax.Array) -> jax.Array:
  """The network's output as it is: float32 [b h w 1].

  `image` [b h w 3] is sRGB in [0, 1] at the network's input size. The predictor's own `variables`
  are ignored.
  """
  return predictor.network.apply(variables, normalised(predictor, image), method='predict')


def normalised(predictor: Predictor, image: jax.Array) -> jax.Array:
  """The network's input from sRGB in [0, 1], both [b h w 3]: (image - mean) / std."""
  mean, std = (np.asarray(x, np.float32) for x in (predictor.mean, predictor.std))
  return (image - mean[None, None, None]) / std[None, None, None]


def near_large(predictor: Predictor, output: Any) -> Any:
  """Disparity of unknown range from an output: metric depth is inverted, other depth negated."""
  if predictor.output == 'disparity':
    return output
  return 1 / output.clip(min=_SMALLEST_DEPTH) if predictor.metric else -output


def raw(predictor: Predictor, variables: Any, image: jax.Array) -> jax.Array:
  """The network's output with near large, of unknown range: arguments as `output`."""
  return near_large(predictor, output(predictor, variables, image))


def disparity(predictor: Predictor, variables: Any, image: jax.Array) -> jax.Array:
  """Normalised disparity [b h w 1] in [0, 1], 1 is nearest, of photographs of any size.

  The arguments are those of `raw`, but for the size of `image`.
  """
  shape = frame(predictor, image.shape[1:3])
  return disparity_lib.predict(lambda x: raw(predictor, variables, x), image, shape)
