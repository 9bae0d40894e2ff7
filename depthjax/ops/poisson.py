"""Poisson fusion: the values of one map with the gradients of another.

The classical form of what refinement networks learn: Pérez et al., "Poisson image editing", 2003;
screened as Bhat et al., "Fourier analysis of the 2D screened Poisson equation for gradient domain
problems", ECCV 2008.
"""

import numpy as np
from jax.scipy import fft

from depthjax.ops import alignment


def fuse(low, high, weight=1e-3, *, align=True):
  """The map D that minimises |grad D - grad high|^2 + weight |D - low|^2 over all pixels.

  Gradients are differences of direct neighbours, and none crosses the border. Solved exactly: a
  cosine transform makes the equation one of single frequencies, of which the low ones come from
  `low`, and the high ones from `high`. They change over at about sqrt(weight) radians a pixel.

  Args:
    low: a map whose values are right [... h w 1].
    high: one whose gradients are right, of the same size.
    weight: not negative; 0 takes the mean alone from `low`.
    align: first brings `high` to `low` by the scale and shift of least squares; else their scales
      must agree.

  Returns:
    Map [... h w 1].

  Raises:
    ValueError: sizes that differ, a negative weight.
  """
  if low.shape != high.shape:
    raise ValueError(f'low {low.shape} and high {high.shape} differ in size')
  if weight < 0:
    raise ValueError(f'the weight is {weight}; it must not be negative')
  if align:
    high = alignment.align(high, low)
  # The difference, not both: what is high in both then suffers no rounding.
  axes = (-3, -2)
  spectrum = fft.dctn(low - high, axes=axes, norm='ortho')
  return high + fft.idctn(spectrum * _share(low.shape[-3:-1], weight), axes=axes, norm='ortho')


def _share(shape, weight):
  """Share of `low` at each frequency: NumPy float32 [h w 1]."""
  rows, columns = (2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in shape)
  stiffness = rows[:, None] + columns
  stiffness[0, 0] = 1
  share = weight / (stiffness + weight)
  share[0, 0] = 1  # The mean has no gradient: it is that of `low`, whatever the weight.
  return share[..., None].astype(np.float32)
