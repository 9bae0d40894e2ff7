"""Errors of a predicted map after its best scale and shift, in NumPy float64 on the host.

Maps are [h w]. A prediction is known up to scale and shift only, as disparity (near is large) or as
depth, so it is brought to the truth by least squares first. Each picture is a row of numbers, and a
table is the plain mean of its rows: no picture counts more for its size. What is not finite is an
error, never left out.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from skimage import transform

Convention = Literal['disparity', 'depth']
Scores = dict[str, float]

# Aligned depth is kept between these parts of the median depth where scale and shift leave it
# without meaning: a prediction there counts as wrong, not as a number of the wrong sign.
_LEAST = 1e-3


class Aligned(NamedTuple):
  """A prediction brought to the truth.

  Attributes:
    depth: in the unit of the truth, above 0, [h w].
    scale: of the prediction; negative where it is upside down.
    shift: in the unit of what it was fitted to.
    clipped: share of the valid pixels whose depth had to be clipped.
  """

  depth: np.ndarray
  scale: float
  shift: float
  clipped: float


def align(
  prediction: np.ndarray,
  truth: np.ndarray,
  valid: np.ndarray,
  *,
  convention: Convention = 'disparity',
) -> Aligned:
  """The prediction as depth, by the scale and shift with the least squared error on valid pixels.

  Depth is fitted to the true depth and clipped below at 1/1000 of its median; disparity is fitted
  to the inverse, clipped below so that depth is at most 1000 medians, and inverted.

  Args:
    prediction: values of any range [h w], finite.
    truth: depth of any unit [h w], above 0 where valid.
    valid: bool [h w], true somewhere.
    convention: what the prediction is.

  Raises:
    ValueError: another convention, sizes that differ, values that are not finite, no valid pixel,
      a true depth that is not above 0.
  """
  if convention not in ('disparity', 'depth'):
    raise ValueError(f"the convention is {convention!r}; it can be 'disparity' or 'depth'")
  prediction, truth, valid = checked(prediction, truth, valid)
  median = np.median(truth[valid])
  inverse = convention == 'disparity'
  least = _LEAST / median if inverse else _LEAST * median
  target = 1 / truth if inverse else truth
  scale, shift = line(prediction[valid], target[valid])
  values = scale * prediction + shift
  clipped = float(np.mean(values[valid] < least))
  values = np.maximum(values, least)
  return Aligned(1 / values if inverse else values, scale, shift, clipped)


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
  """Scale and shift of x [n] with the least squared error to y [n]; constant x has scale 0."""
  x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
  if np.ptp(x) == 0:
    return 0.0, float(y.mean())
  centred = x - x.mean()
  scale = float(centred @ (y - y.mean()) / (centred @ centred))
  return scale, float(y.mean() - scale * x.mean())


def errors(depth: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> Scores:
  """How far depths above 0 are from the true ones, both [h w], over the valid pixels.

  Returns:
    'delta1', 'delta2', 'delta3': share whose ratio to the truth, or its inverse, is below 1.25,
    1.25^2, 1.25^3; 'rel': mean of |error| / truth; 'sqrel': of error^2 / truth, in the unit of the
    truth as 'rmse' is; 'log10': mean of |log10 of the ratio|.

  Raises:
    ValueError: as `align`, and depths that are not above 0.
  """
  depth, truth, valid = checked(depth, truth, valid)
  p, g = depth[valid], truth[valid]
  if p.min() <= 0:
    raise ValueError(f'the least depth is {p.min():g}; it must be above 0, as align leaves it')
  ratio, error = np.maximum(p / g, g / p), p - g
  return {f'delta{i}': float(np.mean(ratio < 1.25**i)) for i in (1, 2, 3)} | {
    'rel': float(np.mean(abs(error) / g)),
    'sqrel': float(np.mean(error**2 / g)),
    'rmse': float(np.sqrt(np.mean(error**2))),
    'log10': float(np.mean(np.log10(ratio))),
  }


def mean(rows: Sequence[Scores]) -> Scores:
  """The mean of each number over the pictures, which all have the same ones.

  Raises:
    ValueError: no picture, other numbers in one of them, a number that is not finite.
  """
  if not rows:
    raise ValueError('there is no picture to take a mean of')
  for i, row in enumerate(rows):
    if row.keys() != rows[0].keys():
      raise ValueError(f'picture {i} has {", ".join(row)}; the first {", ".join(rows[0])}')
    for name, value in row.items():
      if not np.isfinite(value):
        raise ValueError(f'{name} of picture {i} is {value}; it must be finite')
  return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def resized(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """A map [h w] at another size: float64 [*shape], bilinear, pixel centres at half integers."""
  values = np.asarray(values, np.float64)
  if values.shape == tuple(shape):
    return values
  return transform.resize(values, shape, order=1, mode='edge', anti_aliasing=False)


def checked(
  prediction: np.ndarray, truth: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The maps [h w] as float64, float64 (1 where not valid) and bool.

  Raises:
    ValueError: as `align`.
  """
  prediction, truth = np.asarray(prediction, np.float64), np.asarray(truth, np.float64)
  valid = np.asarray(valid) > 0
  shapes = [list(x.shape) for x in (prediction, truth, valid)]
  if truth.ndim != 2 or any(shape != shapes[1] for shape in shapes):
    raise ValueError(
      'prediction {}, truth {} and valid {} must be maps [h w] of one size'.format(*shapes)
    )
  broken = np.count_nonzero(~np.isfinite(prediction))
  if broken:
    raise ValueError(f'the prediction holds {broken} NaN or infinite values; all must be finite')
  if not valid.any():
    raise ValueError(f'the truth has no valid pixel of {valid.size}')
  wrong = np.count_nonzero(~(np.isfinite(truth) & (truth > 0)) & valid)
  if wrong:
    raise ValueError(f'the truth of {wrong} valid pixels is not finite and above 0')
  return prediction, np.where(valid, truth, 1.0), valid
