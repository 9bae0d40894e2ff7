"""Resampling of images on grids whose pixel centres lie at half integers (align_corners=False)."""

import jax
import jax.numpy as jnp

from depthjax.ops import colour


def downsample(x, factor):
  """Shrinks an image by the mean of its blocks.

  Args:
    x: image [... h w c].
    factor: edge of a block in pixels, a positive integer that divides h and w.

  Returns:
    Image [... h/factor w/factor c].

  Raises:
    ValueError: `factor` does not divide h or w.
  """
  *batch, h, w, c = x.shape
  if factor < 1 or h % factor or w % factor:
    raise ValueError(f'factor {factor} does not divide the size {h} x {w}')
  blocks = x.reshape(*batch, h // factor, factor, w // factor, factor, c)
  return blocks.mean(axis=(-4, -2))


def upsample(x, shape):
  """Enlarges an image bilinearly; beyond its outermost pixel centres it continues constant.

  Args:
    x: image [... h w c].
    shape: new (h, w), neither smaller than the old one.

  Returns:
    Image [... *shape c].

  Raises:
    ValueError: `shape` is smaller than the image in either direction.
  """
  h, w = shape
  if h < x.shape[-3] or w < x.shape[-2]:
    raise ValueError(f'cannot upsample {x.shape[-3]} x {x.shape[-2]} to the smaller {h} x {w}')
  # Two small matrix products, so it needs no gather.
  return jax.image.resize(x, (*x.shape[:-3], h, w, x.shape[-1]), 'bilinear')


def resample(x, shape):
  """Resizes an image bilinearly, over areas where it shrinks.

  Args:
    x: image [... h w c].
    shape: new (h, w).

  Returns:
    Image [... *shape c].
  """
  return jax.image.resize(x, (*x.shape[:-3], *shape, x.shape[-1]), 'bilinear', antialias=True)


def photograph(image, shape):
  """A photograph at another size, by the mean of its light; of the same size, it as it is.

  Args:
    image: sRGB in [0, 1], [... h w 3].
    shape: new (h, w).

  Returns:
    sRGB in [0, 1], [... *shape 3].
  """
  if image.shape[-3:-1] == tuple(shape):
    return image
  light = resample(colour.srgb_to_linear(image), shape)
  return jnp.clip(colour.linear_to_srgb(light), 0, 1)


def frame(shape, long_side, multiple):
  """The size (h, w) nearest to a long side, both multiples of a number; squeezed a little.

  Args:
    shape: (h, w) of what is resized.
    long_side: pixels of the longer one.
    multiple: what must divide both.
  """
  scale = long_side / max(shape) / multiple
  h, w = (multiple * max(1, round(size * scale)) for size in shape)
  return h, w
