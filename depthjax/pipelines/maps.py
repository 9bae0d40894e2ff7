"""Disparity maps [h w 1] of any range and size on the host: checked, resized, compared."""

from typing import NamedTuple

import cv2
import numpy as np

from depthjax.files.depth import ASPECT_TOLERANCE

# A span below this part of the largest value is float32 rounding, not relief.
_FLAT = 1e-6
# Below this rank correlation two maps run against each other: those of one picture have 0.5 to 1,
# a disparity and a depth of it -1 to -0.5.
OPPOSED = -0.3
_THUMBNAIL = 64


class Unit(NamedTuple):
  """A map brought to [0, 1], float32 [h w 1], and the offset and span that it had."""

  values: np.ndarray
  offset: float
  span: float

  def restored(self, values: np.ndarray) -> np.ndarray:
    """Values on the scale of `values` in the units of the map, float32."""
    return (values.astype(np.float64) * self.span + self.offset).astype(np.float32)


def unit(values: np.ndarray, name: str) -> Unit:
  """Brings a map [h w 1] to [0, 1]; its units come back by `restored`.

  Raises:
    ValueError: another shape, a side of one pixel, NaN or infinite values, a constant map.
  """
  values = np.asarray(values)
  if values.ndim != 3 or values.shape[-1] != 1:
    raise ValueError(f'the {name} map has the shape {list(values.shape)}; it must be [h w 1]')
  h, w = values.shape[:2]
  if min(h, w) < 2:
    raise ValueError(f'the {name} map is {w} x {h} pixels; both sides must have at least 2')
  if not np.isfinite(values).all():
    raise ValueError(f'the {name} map holds NaN or infinite values; fill them first')
  result, low = relief(values), float(values.min())
  if not result.any():
    raise ValueError(f'the {name} map is constant ({low:.6g} everywhere)')
  return Unit(result, low, float(values.max()) - low)


def relief(values: np.ndarray) -> np.ndarray:
  """A map [h w 1] in [0, 1], float32, or zeros where it is constant but for rounding."""
  # In float64: a large offset leaves few digits to float32.
  values = np.asarray(values, np.float64)
  low, high = values.min(), values.max()
  if high - low <= _FLAT * max(abs(low), abs(high)):
    return np.zeros(values.shape, np.float32)
  return ((values - low) / (high - low)).astype(np.float32)


def resized(
  values: np.ndarray, shape: tuple[int, int], enlarging: int = cv2.INTER_LINEAR
) -> np.ndarray:
  """A map [h w 1] at another size, pixel centres at half integers: [*shape 1].

  Along each axis by itself: the mean over areas where it shrinks, else as `enlarging` says: one of
  OpenCV's INTER_LINEAR and INTER_CUBIC (a = -0.75).
  """
  x = values[..., 0]
  for axis in (1, 0):
    size = [x.shape[0], x.shape[1]]
    method = cv2.INTER_AREA if shape[axis] < size[axis] else enlarging
    if shape[axis] != size[axis]:
      size[axis] = shape[axis]
      x = cv2.resize(x, (size[1], size[0]), interpolation=method)
  return x[..., None]


def nearest(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """A map [h w 1] at another size by the nearest pixel: [*shape 1]."""
  return cv2.resize(values[..., 0], shape[::-1], interpolation=cv2.INTER_NEAREST)[..., None]


def correlation(first: np.ndarray, second: np.ndarray) -> float:
  """Spearman's rank correlation of two maps [h w 1] of any sizes, by what they have in common.

  It tells a disparity from a depth, whose values are no linear function of each other.
  """
  shape = tuple(min(_THUMBNAIL, *sizes) for sizes in zip(first.shape, second.shape, strict=True))
  ranks = [_ranks(resized(x.astype(np.float32), shape[:2])) for x in (first, second)]
  if any(x.min() == x.max() for x in ranks):
    return 0.0
  return float(np.corrcoef(*ranks)[0, 1])


def check_pair(low: np.ndarray, high: np.ndarray) -> None:
  """Refuses two maps [h w 1] that cannot be of one picture, near large or small in both.

  Raises:
    ValueError: aspect ratios that differ by more than 2 %, opposed values.
  """
  (h, w), (high_h, high_w) = low.shape[:2], high.shape[:2]
  if abs((w * high_h) / (h * high_w) - 1) > ASPECT_TOLERANCE:
    raise ValueError(
      f'the low map is {w} x {h} pixels and the high map {high_w} x {high_h}; '
      'their aspect ratios must agree within 2 %'
    )
  agreement = correlation(low, high)
  if agreement < OPPOSED:
    raise ValueError(
      f'the low and the high map run against each other (rank correlation {agreement:.2f}); '
      'near must be large in both'
    )


def _ranks(values: np.ndarray) -> np.ndarray:
  """Ranks of values; equal ones share their mean."""
  _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
  return (np.cumsum(counts) - counts / 2)[place.ravel()]
