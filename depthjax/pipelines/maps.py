"""Disparity maps [h w 1] of any range and size, in NumPy: normalised, resized and compared."""

from typing import NamedTuple

import cv2
import numpy as np

from depthjax.files import depth

# Two maps have opposite polarity below this rank correlation. Two disparities of one picture have
# 0.5 to 1; a disparity and a depth of it -1 to -0.5.
_MIN_CORRELATION = -0.3
_THUMBNAIL = 64


class Normalised(NamedTuple):
  """A map scaled to [0, 1]."""

  values: np.ndarray  # float32 [h w 1].
  offset: float  # Minimum of the original map.
  span: float  # Range of the original map.

  def restored(self, values: np.ndarray) -> np.ndarray:
    """Converts normalised values back to the units of the original map, float32."""
    return (values.astype(np.float64) * self.span + self.offset).astype(np.float32)


def normalise(values: np.ndarray, name: str) -> Normalised:
  """Scales a map [h w 1] linearly to [0, 1].

  Raises:
    ValueError: another shape, fewer than 2 rows or columns, NaN or infinite values, a constant map;
      the message calls the map `name`.
  """
  values = np.asarray(values)
  if values.ndim != 3 or values.shape[-1] != 1:
    raise ValueError(f'the {name} map has the shape {list(values.shape)}; it must be [h w 1]')
  h, w = values.shape[:2]
  if min(h, w) < 2:
    raise ValueError(f'the {name} map is {w} x {h} pixels; it must have at least 2 x 2')
  if not np.isfinite(values).all():
    raise ValueError(f'the {name} map has NaN or infinite values; fill them first')
  result, low = depth.to_unit_range(values), float(values.min())
  if not result.any():
    raise ValueError(f'the {name} map is constant ({low:.6g}); its values must vary')
  return Normalised(result, low, float(values.max()) - low)


def resized(
  values: np.ndarray, shape: tuple[int, int], enlarging: int = cv2.INTER_LINEAR
) -> np.ndarray:
  """Resizes a map [h w 1] to [*shape 1], pixel centres at half integers.

  Each axis is resized separately, because one may shrink while the other grows: by the mean over
  areas where it shrinks, otherwise with `enlarging`, OpenCV's INTER_LINEAR or INTER_CUBIC.
  """
  x = values[..., 0]
  for h, w in ((x.shape[0], shape[1]), shape):
    if x.shape != (h, w):
      shrinks = h < x.shape[0] or w < x.shape[1]
      x = cv2.resize(x, (w, h), interpolation=cv2.INTER_AREA if shrinks else enlarging)
  return x[..., None]


def correlation(first: np.ndarray, second: np.ndarray) -> float:
  """Spearman's rank correlation of thumbnails of two maps [h w 1], which may differ in size.

  Ranks, because disparity and depth are not linear functions of each other. 0 for a constant map.
  """
  shape = tuple(min(_THUMBNAIL, *sizes) for sizes in zip(first.shape, second.shape, strict=True))
  ranks = [_ranks(resized(x.astype(np.float32), shape[:2])) for x in (first, second)]
  constant = any(x.min() == x.max() for x in ranks)
  return 0.0 if constant else float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
  """Ranks of the values, equal values averaged; scipy.stats would take 0.6 s to import."""
  _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
  return (np.cumsum(counts) - counts / 2)[index.ravel()]


def check_pair(low: np.ndarray, high: np.ndarray) -> None:
  """Refuses two maps [h w 1] that cannot be disparities of the same picture.

  Raises:
    ValueError: aspect ratios that differ by more than 2 %, opposite polarity.
  """
  depth.needs_resize('the low map', low.shape[:2], high.shape[:2], 'the high map')
  agreement = correlation(low, high)
  if agreement < _MIN_CORRELATION:
    raise ValueError(
      f'the low and the high map have opposite polarity (rank correlation {agreement:.2f}); '
      'read one of them as depth: --convention=depth or --high-convention=depth'
    )
