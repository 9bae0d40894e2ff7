"""Precision and recall of depth boundaries, in NumPy on the host.

Source: Bochkovskii et al., "Depth Pro: sharp monocular metric depth in less than a second", ICLR
2025 (arXiv 2410.02073). Two neighbouring pixels form a boundary if the ratio of their depths
exceeds t, for t from 1.05 to 1.25. The measure is independent of the unit, and blurred steps are
no boundaries. A tolerance in pixels is added here, since measured truth is inexact at edges.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from depthjax.metrics import aligned

THRESHOLDS = np.linspace(1.05, 1.25, 10)
TOLERANCE = 1


class Boundary(NamedTuple):
  """Fractions in [0, 1], averaged over the thresholds, each weighted by its value."""

  recall: float  # True boundaries with a predicted one within the tolerance: the standard measure.
  precision: float  # Predicted boundaries with a true one; 0 if none is predicted.
  f1: float  # Harmonic mean of both at each threshold.


def boundary(
  depth: np.ndarray, truth: np.ndarray, valid: np.ndarray, *, tolerance: int = TOLERANCE
) -> Boundary:
  """Compares the boundaries of predicted and true depth.

  Boundaries are between valid pixels and counted separately for the four directions in which depth
  increases. Predicted ones within the tolerance of a pixel without truth are ignored, as are
  thresholds without a true boundary.

  Args:
    depth: predicted depth above 0, aligned by aligned.align [h w].
    truth: true depth, above 0 where valid [h w].
    valid: bool [h w].
    tolerance: distance in pixels along each axis; 0 is the published measure.

  Raises:
    ValueError: as aligned.align, depth not above 0, a negative tolerance, no true boundary.
  """
  depth, truth, valid = aligned.checked(depth, truth, valid)
  if depth[valid].min() <= 0 or tolerance < 0:
    raise ValueError('depth must be above 0 and tolerance at least 0')
  known = ndimage.binary_erosion(valid, np.ones((2 * tolerance + 1,) * 2), border_value=1)
  scores, weights = [], []
  for threshold in THRESHOLDS:
    directions = _counts(depth, truth, valid, known, threshold, tolerance)
    found, true, right, guessed = map(sum, zip(*directions, strict=True))
    if true:
      recall, precision = found / true, right / max(guessed, 1)
      f1 = 2 * recall * precision / (recall + precision) if recall * precision else 0.0
      scores.append((recall, precision, f1))
      weights.append(threshold)
  if not scores:
    raise ValueError(f'the truth has no boundary: no neighbours differ by {THRESHOLDS[0]:g}')
  # Clipped, since rounding may give more than 1.
  means = np.minimum(np.average(scores, axis=0, weights=weights), 1)
  return Boundary(*map(float, means))


def _counts(
  depth: np.ndarray,
  truth: np.ndarray,
  valid: np.ndarray,
  known: np.ndarray,
  threshold: float,
  tolerance: int,
) -> Iterator[tuple[int, int, int, int]]:
  """Numbers of found and true boundaries, of correct and predicted ones, for each direction."""
  near = np.ones((2 * tolerance + 1,) * 2, bool)
  rows = slice(1, None), slice(-1)
  columns = (..., slice(1, None)), (..., slice(-1))
  for after, before in (rows, columns):
    both, certain = valid[after] & valid[before], known[after] & known[before]
    for a, b in ((after, before), (before, after)):
      true = (truth[a] > threshold * truth[b]) & both
      guess = depth[a] > threshold * depth[b]
      found = true & ndimage.binary_dilation(guess, near)
      sure = guess & certain
      right = sure & ndimage.binary_dilation(true, near)
      yield tuple(map(np.count_nonzero, (found, true, right, sure)))
