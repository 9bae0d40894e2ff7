"""Overlapping windows of coarse-to-fine refinement: where they lie and how they are blended.

Level 0 is the whole picture. Level s divides it into (s + 1)^2 overlapping windows (SDDR, section
3.2). Data, training and inference share them; NumPy alone.
"""

import functools
from typing import NamedTuple

import numpy as np

_OVERLAPS = {1: 0.2}  # Of neighbours, as a share of a window; finer levels have the next.
_OVERLAP = 0.25
# The feather mask is drawn on this many pixels a side: ones from 15 % to 85 %, then blurred.
_SIDE, _BOX, _SIGMA, _RADIUS = 3000, (0.15, 0.85), 187.0, 374


class Window(NamedTuple):
  """A rectangle of a picture, pixels."""

  top: int
  left: int
  height: int
  width: int

  @property
  def slices(self) -> tuple[slice, slice]:
    """Rows and columns, to index an array [h w ...]."""
    return (
      slice(self.top, self.top + self.height),
      slice(self.left, self.left + self.width),
    )


def grid(shape: tuple[int, int], level: int) -> list[Window]:
  """The (level + 1)^2 windows of a level, row by row; all are of one size.

  The last ones end with the picture. (The authors' code ends them a pixel earlier, so that the
  last row and column never change.)

  Args:
    shape: (h, w) of the picture.
    level: 0 is the whole picture.

  Raises:
    ValueError: a negative level, or a picture of fewer pixels than windows.
  """
  if level < 0 or min(shape) <= level:
    raise ValueError(f'level {level} of a picture of {shape[0]} x {shape[1]} pixels')
  rows, columns = (_starts(size, level + 1) for size in shape)
  (height, tops), (width, lefts) = rows, columns
  return [Window(top, left, height, width) for top in tops for left in lefts]


def count(levels: int) -> int:
  """How many windows levels 1 to `levels` have together: 4 + 9 + ..."""
  return sum((level + 1) ** 2 for level in range(1, levels + 1))


@functools.lru_cache(maxsize=32)
def feather(shape: tuple[int, int]) -> np.ndarray:
  """Weights of a window against what it is blended into: float32 [h w], 1 amid, 0 at the rim.

  A box over the middle 70 %, blurred by a Gaussian of 6 % of the window, then brought to [0, 1].
  """
  rows, columns = map(profile, shape)
  weights = rows[:, None] * columns
  weights.flags.writeable = False  # It is shared by all who ask for it.
  return weights


@functools.lru_cache(maxsize=32)
def profile(size: int) -> np.ndarray:
  """Weights along an axis of a window, float32 [size]: `feather` is those of both, multiplied."""
  place = np.arange(-_RADIUS, _RADIUS + 1)
  kernel = np.exp(-(place**2) / (2 * _SIGMA**2))
  box = np.zeros(_SIDE)
  box[slice(*(int(at * _SIDE) for at in _BOX))] = 1
  weights = np.convolve(box, kernel / kernel.sum(), mode='same')
  weights = _resized(weights / weights.max(), size).astype(np.float32)
  weights.flags.writeable = False
  return weights


def _starts(size: int, parts: int) -> tuple[int, list[int]]:
  """Extent of a window along an axis, and where the windows begin."""
  if parts == 1:
    return size, [0]
  overlap = _OVERLAPS.get(parts - 1, _OVERLAP)
  extent = min(size, int(size / (parts - (parts - 1) * overlap)) + 1)
  stride = extent - int(extent * overlap)
  return extent, [min(i * stride, size - extent) for i in range(parts - 1)] + [size - extent]


def _resized(weights: np.ndarray, size: int) -> np.ndarray:
  """Linear interpolation between pixel centres at half integers."""
  centres = (np.arange(size) + 0.5) * len(weights) / size - 0.5
  return np.interp(centres, np.arange(len(weights)), weights)
