"""Poisson fusion: values of one map and gradients of another, the baseline of learned refinement.

Sources: Pérez et al., "Poisson image editing", 2003; Bhat et al., "Fourier analysis of the 2D
screened Poisson equation for gradient domain problems", ECCV 2008.
"""

import numpy as np
from jax.scipy import fft

from depthjax.ops import alignment


def fuse(low, high, weight=1e-3, *, align=True):
  """The map D that minimises |grad D - grad high|^2 + weight |D - low|^2 over all pixels.

  Gradients are differences of direct neighbours within the map. The solution is exact: a cosine
  transform separates the frequencies. Low frequencies come from `low` and high ones from `high`;
  the transition is at about sqrt(weight) radians per pixel.

  Args:
    low: map with accurate values [... h w 1].
    high: map with accurate gradients [... h w 1].
    weight: at least 0; with 0 only the mean comes from `low`.
    align: aligns `high` to `low` by a least-squares scale and shift first.

  Raises:
    ValueError: the sizes differ, or `weight` is negative.
  """
  if low.shape != high.shape:
    raise ValueError(f'low is {low.shape} and high {high.shape}; they must have one size')
  if weight < 0:
    raise ValueError(f'weight is {weight}; it must be at least 0')
  if align:
    high = alignment.align(high, low)
  # Transforms only the difference, so that high frequencies of `high` have no rounding error.
  axes = (-3, -2)
  spectrum = fft.dctn(low - high, axes=axes, norm='ortho')
  return high + fft.idctn(spectrum * _fraction(low.shape[-3:-1], weight), axes=axes, norm='ortho')


def _fraction(shape, weight):
  """Weight of `low` at each frequency, in [0, 1]: NumPy float32 [h w 1]."""
  rows, columns = (2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in shape)
  stiffness = rows[:, None] + columns
  stiffness[0, 0] = 1
  fraction = weight / (stiffness + weight)
  fraction[0, 0] = 1  # The mean has no gradient, so it is always that of `low`.
  return fraction[..., None].astype(np.float32)
