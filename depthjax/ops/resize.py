"""Resampling of images on grids whose pixel centres lie at half integers (align_corners=False)."""

import jax


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
