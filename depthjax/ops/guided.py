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
    guide: what has the edges [... h w n], such as a sharp disparity, or `grey` of a photograph. Of
      several, in [0, 1] or so, each has a scale of its own.
    radius: of the windows in pixels, static; at the border they are cut off.
    epsilon: variance of the guide, in its unit squared, below which a window counts as flat and
      the map is smoothed there.

  Returns:
    Map [... h w 1].

  Raises:
    ValueError: a map of several channels.
  """
  scale, shift = lines(x, guide, radius=radius, epsilon=epsilon)
  return (scale * guide).sum(axis=-1, keepdims=True) + shift


def lines(x, guide, *, radius, epsilon=1e-4):
  """The scales [... h w n] and the shift [... h w 1] of `guided`, whose arguments these are.

  Found in small maps and enlarged, they refine large ones, at the cost of the small, whose blur
  does not matter then (He and Sun, "Fast guided filter", 2015). It raises what `guided` does.
  """
  if x.shape[-1] != 1:
    raise ValueError(f'the map has {x.shape[-1]} channels; it must have one')
  # In float32 the variance of a guide that is far from 0 would be rounding alone.
  middle = guide.mean(axis=(-3, -2), keepdims=True)
  guide = guide - middle
  mean, mean_x = box(guide, radius), box(x, radius)
  covariance = box(guide * x, radius) - mean * mean_x
  if guide.shape[-1] == 1:
    variance = jnp.maximum(box(guide * guide, radius) - mean * mean, 0)
    scale = covariance / (variance + epsilon)
  else:
    products = guide[..., :, None] * guide[..., None, :]
    n = guide.shape[-1]
    flat = box(products.reshape(*guide.shape[:-1], n * n), radius)
    variance = flat.reshape(products.shape) - mean[..., :, None] * mean[..., None, :]
    variance += epsilon * jnp.eye(n)
    scale = jnp.linalg.solve(variance, covariance[..., None])[..., 0]
  shift = mean_x - (scale * mean).sum(axis=-1, keepdims=True)
  scale, shift = box(scale, radius), box(shift, radius)
  return scale, shift - (scale * middle).sum(axis=-1, keepdims=True)


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
