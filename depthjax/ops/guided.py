"""The guided filter: a map smoothed, or refined, along the edges of another.

He, Sun, Tang, "Guided image filtering", ECCV 2010 and TPAMI 2013.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from depthjax.ops import colour


def guided(x, guide, *, radius, epsilon=1e-4):
  """In each window a scale and shift of the guide that come nearest to the map; their mean.

  Args:
    x: map [... h w 1], such as a blurred disparity of the guide's size.
    guide: what has the edges [... h w 1], such as a sharp disparity, or `grey` of a photograph.
    radius: of the windows in pixels, static; at the border they are cut off.
    epsilon: variance of the guide, in its unit squared, below which a window counts as flat and
      the map is smoothed there.

  Returns:
    Map [... h w 1].
  """
  # In float32 the variance of a guide that is far from 0 would be rounding alone.
  offset = guide.mean(axis=(-3, -2, -1), keepdims=True)
  guide = guide - offset
  mean, mean_x = box(guide, radius), box(x, radius)
  variance = jnp.maximum(box(guide * guide, radius) - mean * mean, 0)
  scale = (box(guide * x, radius) - mean * mean_x) / (variance + epsilon)
  shift = mean_x - scale * mean
  return box(scale, radius) * guide + box(shift, radius)


def grey(image):
  """A photograph as a guide: luminance of sRGB [... h w 3] in [0, 1], encoded, [... h w 1]."""
  return colour.linear_to_srgb(colour.luminance(colour.srgb_to_linear(image)))


def box(x, radius):
  """Mean over the window of 2 radius + 1 pixels a side, cut off at the border: [... h w c].

  Raises:
    ValueError: a negative radius.
  """
  if radius < 0:
    raise ValueError(f'radius is {radius}; it must not be negative')
  for axis in (-3, -2):
    n = x.shape[axis]
    index, reach = np.arange(n), min(radius, n - 1)
    count = np.minimum(index + reach, n - 1) - np.maximum(index - reach, 0) + 1
    shape = [1] * x.ndim
    shape[axis] = n
    x = _window_sum(x, reach, x.ndim + axis) / count.reshape(shape).astype(np.float32)
  return x


def _window_sum(x, radius, axis):
  """Sums of 2 radius + 1 values along an axis, zeros beyond its ends.

  Of doubled windows, 1, 2, 4, ... long, those that make up the length: few sums, and none of the
  differences of long running sums, which in float32 lose what a small variance is made of.
  """
  n, length = x.shape[axis], 2 * radius + 1
  padding = [(0, 0)] * x.ndim
  padding[axis] = (radius, radius)
  # sums[i] is that of `size` values from i on.
  sums, total, start, size = jnp.pad(x, padding), 0, 0, 1
  while size <= length:
    if length & size:
      total = total + lax.slice_in_dim(sums, start, start + n, axis=axis)
      start += size
    if 2 * size <= length:
      both = [lax.slice_in_dim(sums, i, sums.shape[axis] - size + i, axis=axis) for i in (0, size)]
      sums = both[0] + both[1]
    size *= 2
  return total
