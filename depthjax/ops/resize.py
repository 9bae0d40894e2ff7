"""Resizing of images, with pixel centres at half integers (align_corners=False)."""

import jax
import jax.numpy as jnp

from depthjax.ops import colour


def downsample(x, factor):
  """Means of blocks of `factor` x `factor` pixels: [... h w c] -> [... h/factor w/factor c].

  Raises ValueError if `factor` is not a positive divisor of h and w.
  """
  *batch, h, w, c = x.shape
  if factor < 1 or h % factor or w % factor:
    raise ValueError(f'factor is {factor}; it must divide the size {h} x {w}')
  blocks = x.reshape(*batch, h // factor, factor, w // factor, factor, c)
  return blocks.mean(axis=(-4, -2))


def upsample(x, shape):
  """Upsamples an image bilinearly, with replicate padding: [... h w c] -> [... *shape c].

  Raises ValueError if `shape` is smaller than the image in either direction.
  """
  h, w = shape
  if h < x.shape[-3] or w < x.shape[-2]:
    raise ValueError(f'shape is {h} x {w}; it must be at least {x.shape[-3]} x {x.shape[-2]}')
  # jax.image.resize computes two small matrix products and no gather.
  return jax.image.resize(x, (*x.shape[:-3], h, w, x.shape[-1]), 'bilinear')


def resample(x, shape):
  """Resizes bilinearly, with antialiasing where it gets smaller: [... h w c] -> [... *shape c]."""
  return jax.image.resize(x, (*x.shape[:-3], *shape, x.shape[-1]), 'bilinear', antialias=True)


def photograph(image, shape):
  """Resizes a photograph in linear light: sRGB in [0, 1], [... h w 3] -> [... *shape 3].

  An image that already has the shape is returned unchanged.
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
  # One division: exact halves are rounded to even, as in NumPy.
  h, w = (multiple * max(1, round(n * long_side / (max(shape) * multiple))) for n in shape)
  return h, w
