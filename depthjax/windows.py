"""Overlapping windows of coarse-to-fine refinement: their positions and blending weights.

Level 0 is the picture. Level s divides it into (s + 1)^2 overlapping windows (SDDR, section 3.2).
Used by data, training and inference; NumPy only.
"""

import functools
from typing import NamedTuple

import numpy as np

# Overlap of neighbours as a fraction of a window: of level 1, and of finer levels.
_OVERLAPS, _OVERLAP = {1: 0.2}, 0.25
# Blending weights: a box over 15 % to 85 % of 3000 samples, blurred by a Gaussian up to a radius.
_SAMPLES, _BOX, _SIGMA, _RADIUS = 3000, (0.15, 0.85), 187.0, 374


class Window(NamedTuple):
  """A rectangle of a picture, in pixels."""

  top: int
  left: int
  height: int
  width: int

  @property
  def slices(self) -> tuple[slice, slice]:
    """Rows and columns, to index an array [h w ...]."""
    return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def grid(shape: tuple[int, int], level: int) -> list[Window]:
  """The (level + 1)^2 windows of a picture of (h, w) pixels, row by row, all of the same size.

  The last windows end at the border of the picture. (Those of the authors' code end one pixel
  before, so that the last row and column never change.)

  Raises:
    ValueError: a negative level, or a picture with fewer pixels than windows.
  """
  if level < 0 or min(shape) <= level:
    raise ValueError(
      f'the level is {level}; it must be 0 to {min(shape) - 1} for {shape[1]} x {shape[0]} pixels'
    )
  (height, tops), (width, lefts) = (_starts(size, level + 1) for size in shape)
  return [Window(top, left, height, width) for top in tops for left in lefts]


def count(levels: int) -> int:
  """Number of windows in levels 1 to `levels`: 4 + 9 + ..."""
  return sum((level + 1) ** 2 for level in range(1, levels + 1))


@functools.lru_cache(maxsize=32)
def feather(shape: tuple[int, int]) -> np.ndarray:
  """Blending weights of a window: float32 [h w], 1 in the middle, 0 at the border; read-only."""
  rows, columns = map(profile, shape)
  weights = rows[:, None] * columns
  weights.flags.writeable = False  # The array is cached.
  return weights


@functools.lru_cache(maxsize=32)
def profile(size: int) -> np.ndarray:
  """Blending weights along one axis, float32 [size], read-only: `feather` is their product.

  A box over the middle 70 %, blurred by a Gaussian with a std of 6 % of the window, scaled to a
  maximum of 1 and resized linearly, pixel centres at half integers.
  """
  offset = np.arange(-_RADIUS, _RADIUS + 1)
  kernel = np.exp(-(offset**2) / (2 * _SIGMA**2))
  box = np.zeros(_SAMPLES)
  box[slice(*(int(at * _SAMPLES) for at in _BOX))] = 1
  weights = np.convolve(box, kernel / kernel.sum(), mode='same')
  weights = weights / weights.max()
  centres = (np.arange(size) + 0.5) * _SAMPLES / size - 0.5
  weights = np.interp(centres, np.arange(_SAMPLES), weights).astype(np.float32)
  weights.flags.writeable = False
  return weights


def _starts(size: int, parts: int) -> tuple[int, list[int]]:
  """Extent of the windows along an axis, and the start of each."""
  if parts == 1:
    return size, [0]
  overlap = _OVERLAPS.get(parts - 1, _OVERLAP)
  extent = min(size, int(size / (parts - (parts - 1) * overlap)) + 1)
  stride = extent - int(extent * overlap)
  return extent, [min(i * stride, size - extent) for i in range(parts - 1)] + [size - extent]
