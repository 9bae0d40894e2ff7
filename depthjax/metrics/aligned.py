"""Errors of a predicted map after alignment by scale and shift, in NumPy float64 on the host.

Maps are [h w]. A prediction is disparity (near is large) known up to scale and shift, so it is
aligned to the truth by least squares first. NaN and infinite values are errors, never left out.
"""

from typing import NamedTuple

import numpy as np

Scores = dict[str, float]

# Aligned disparity is clipped to this factor times the inverse of the median depth, since scale and
# shift can make it 0 or negative.
_LEAST = 1e-3


class Aligned(NamedTuple):
  """A prediction aligned to the truth."""

  depth: np.ndarray  # In the unit of the truth, above 0, [h w].
  scale: float  # Factor of the prediction; negative if its polarity is inverted.
  shift: float  # In units of 1 / truth.
  clipped: float  # Fraction of the valid pixels whose depth was clipped.


def align(prediction: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> Aligned:
  """The prediction as depth, after the scale and shift of least squares over valid pixels.

  It is fitted to the inverse of the true depth, clipped so that depth is at most 1000 times the
  median, and inverted.

  Args:
    prediction: disparity of any range [h w], finite.
    truth: depth of any unit [h w], above 0 where valid.
    valid: bool [h w], not all False.

  Raises:
    ValueError: different sizes, values that are not finite, no valid pixel, a true depth of 0 or
      less.
  """
  prediction, truth, valid = checked(prediction, truth, valid)
  least = _LEAST / np.median(truth[valid])
  scale, shift = line(prediction[valid], 1 / truth[valid])
  values = scale * prediction + shift
  clipped = float(np.mean(values[valid] < least))
  return Aligned(1 / np.maximum(values, least), scale, shift, clipped)


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
  """Least-squares scale and shift of x [n] to y [n]; if x is constant, 0 and the mean of y.

  The same definition as ops.alignment.fit, in float64.
  """
  x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
  if np.ptp(x) == 0:
    return 0.0, float(y.mean())
  centred = x - x.mean()
  scale = float(centred @ (y - y.mean()) / (centred @ centred))
  return scale, float(y.mean() - scale * x.mean())


def errors(depth: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> Scores:
  """Errors of depth [h w] over the valid pixels.

  Returns:
    'delta1', 'delta2', 'delta3': fraction of pixels whose ratio to the truth, or its inverse, is
    below 1.25, 1.25^2, 1.25^3; 'rel': mean of |error| / truth; 'sqrel': mean of error^2 / truth and
    'rmse', both in the unit of the truth; 'log10': mean of |log10 of the ratio|.

  Raises:
    ValueError: as `align`, or a depth that is not above 0.
  """
  depth, truth, valid = checked(depth, truth, valid)
  p, g = depth[valid], truth[valid]
  if p.min() <= 0:
    raise ValueError(f'the smallest depth is {p.min():g}; it must be above 0')
  ratio, error = np.maximum(p / g, g / p), p - g
  return {f'delta{i}': float(np.mean(ratio < 1.25**i)) for i in (1, 2, 3)} | {
    'rel': float(np.mean(abs(error) / g)),
    'sqrel': float(np.mean(error**2 / g)),
    'rmse': float(np.sqrt(np.mean(error**2))),
    'log10': float(np.mean(np.log10(ratio))),
  }


def checked(
  prediction: np.ndarray, truth: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The maps [h w] as float64, float64 (1 where not valid) and bool; ValueError as `align`."""
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
