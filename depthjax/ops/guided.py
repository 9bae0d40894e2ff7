"""The guided filter: smooths or refines a map along the edges of another.

He, Sun, Tang, "Guided image filtering", ECCV 2010 and TPAMI 2013.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from depthjax.ops import colour


def guided(x, guide, *, radius, epsilon=1e-4):
  """Fits the map in each window as a linear function of the guide; overlapping fits are averaged.

  Args:
    x: map [... h w 1], for example a blurred disparity of the guide's size.
    guide: image with sharp edges [... h w n], for example a disparity or `grey` of a photograph.
      With several channels each has its own scale; all should have about the range [0, 1].
    radius: radius of the windows in pixels, static. Windows are cropped at the border.
    epsilon: variance of the guide below which a window counts as flat, so the map is smoothed.

  Returns:
    Map [... h w 1].

  Raises:
    ValueError: x has more than one channel, or the radius is negative.
  """
  scale, shift = lines(x, guide, radius=radius, epsilon=epsilon)
  return (scale * guide).sum(axis=-1, keepdims=True) + shift


def lines(x, guide, *, radius, epsilon=1e-4):
  """Scales [... h w n] and shift [... h w 1] of `guided`, which documents arguments and errors.

  Computed on small maps and upsampled, they refine large maps at the cost of the small ones
  (He and Sun, "Fast guided filter", 2015).
  """
  if x.shape[-1] != 1:
    raise ValueError(f'x has {x.shape[-1]} channels; it must have 1')
  # Centred, since in float32 the variance of a guide with a large mean would be rounding error.
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
  """sRGB-encoded luminance [... h w 1] of a photograph, sRGB [... h w 3] in [0, 1]."""
  return colour.linear_to_srgb(colour.luminance(colour.srgb_to_linear(image)))


def box(x, radius):
  """Mean over a window of (2*radius + 1)^2 pixels, cropped at the border: [... h w c].

  Raises ValueError if `radius` is negative.
  """
  if radius < 0:
    raise ValueError(f'radius is {radius}; it must be at least 0')
  for axis in (-3, -2):
    n = x.shape[axis]
    index, cropped = np.arange(n), min(radius, n - 1)
    count = np.minimum(index + cropped, n - 1) - np.maximum(index - cropped, 0) + 1
    shape = [1] * x.ndim
    shape[axis] = n
    x = _window_sum(x, cropped, x.ndim + axis) / count.reshape(shape).astype(np.float32)
  return x


def _window_sum(x, radius, axis):
  """Sums of 2*radius + 1 values along an axis, with zero padding.

  A window is composed of windows of length 1, 2, 4, ..., each the sum of two of half its length.
  Unlike differences of cumulative sums, this keeps small variances accurate in float32.
  """
  n, length = x.shape[axis], 2 * radius + 1
  padding = [(0, 0)] * x.ndim
  padding[axis] = (radius, radius)
  # sums[i] is the sum of `size` values from index i on.
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
