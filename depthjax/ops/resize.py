"""Resizing of images, with pixel centres at half integers (align_corners=False)."""

import jax
import jax.numpy as jnp

from depthjax.ops import colour


def downsample(x, factor):
  """Downsamples an image by the mean of square blocks.

  Args:
    x: image [... h w c].
    factor: size of a block in pixels, a positive integer that divides h and w.

  Returns:
    Image [... h/factor w/factor c].

  Raises:
    ValueError: `factor` does not divide h or w.
  """
  *batch, h, w, c = x.shape
  if factor < 1 or h % factor or w % factor:
    raise ValueError(f'factor is {factor}; it must divide the size {h} x {w}')
  blocks = x.reshape(*batch, h // factor, factor, w // factor, factor, c)
  return blocks.mean(axis=(-4, -2))


def upsample(x, shape):
  """Upsamples an image bilinearly, with replicate padding.

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
    raise ValueError(f'shape is {h} x {w}; it must be at least {x.shape[-3]} x {x.shape[-2]}')
  # jax.image.resize computes two small matrix products and no gather.
  return jax.image.resize(x, (*x.shape[:-3], h, w, x.shape[-1]), 'bilinear')


def resample(x, shape):
  """Resizes an image bilinearly, with antialiasing where it gets smaller.

  Args:
    x: image [... h w c].
    shape: new (h, w).

  Returns:
    Image [... *shape c].
  """
  return jax.image.resize(x, (*x.shape[:-3], *shape, x.shape[-1]), 'bilinear', antialias=True)


def photograph(image, shape):
  """Resizes a photograph in linear light; an image that has the size already is returned as it is.

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
  """Size (h, w) with about a given long side and aspect ratio, both multiples of a number.

  Args:
    shape: (h, w) of the image.
    long_side: wanted length of the longer side in pixels.
    multiple: divisor of both results.
  """
  scale = long_side / max(shape) / multiple
  h, w = (multiple * max(1, round(size * scale)) for size in shape)
  return h, w
