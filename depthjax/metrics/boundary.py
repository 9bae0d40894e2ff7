"""Depth boundaries: which of the true ones a prediction has, in NumPy on the host.

Bochkovskii et al., "Depth Pro: sharp monocular metric depth in less than a second", ICLR 2025
(arXiv 2410.02073): two neighbouring pixels are a boundary if the ratio of their depths is over t,
for t from 1.05 to 1.25. The unit of depth does not matter, and a blurred step is no boundary, since
no two neighbours in it differ that much. One thing is added: a tolerance in pixels, since measured
ground truth is not exact at its edges.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from depthjax.metrics import aligned

THRESHOLDS = np.linspace(1.05, 1.25, 10)
TOLERANCE = 1


class Boundary(NamedTuple):
  """Shares in [0, 1], each a mean over the thresholds, which weigh as they are large.

  Attributes:
    recall: true boundaries with a predicted one within the tolerance; the standard measure.
    precision: predicted boundaries with a true one; 0 where none is predicted.
    f1: the harmonic mean of both, taken for each threshold.
  """

  recall: float
  precision: float
  f1: float


def boundary(
  depth: np.ndarray, truth: np.ndarray, valid: np.ndarray, *, tolerance: int = TOLERANCE
) -> Boundary:
  """Compares the boundaries of two maps of depth, the prediction aligned to the truth.

  A boundary lies between two valid pixels, and counts apart for the four directions in which depth
  can grow. Predicted ones nearer than the tolerance to a pixel whose truth is unknown are neither
  right nor wrong. Thresholds without a true boundary say nothing and are left out.

  Args:
    depth: above 0 [h w], as aligned.align gives it.
    truth: above 0 where valid [h w].
    valid: bool [h w].
    tolerance: pixels along either axis; 0 is the measure as published.

  Raises:
    ValueError: as metrics.aligned, depth not above 0, a negative tolerance, no true boundary.
  """
  depth, truth, valid = aligned.checked(depth, truth, valid)
  if depth[valid].min() <= 0 or tolerance < 0:
    raise ValueError('depth must be above 0 and the tolerance not below')
  known = ndimage.binary_erosion(valid, np.ones((2 * tolerance + 1,) * 2), border_value=1)
  scores, weights = [], []
  for threshold in THRESHOLDS:
    counts = np.sum(list(_counts(depth, truth, valid, known, threshold, tolerance)), axis=0)
    found, true, right, guessed = counts
    if true:
      recall, precision = found / true, right / max(guessed, 1)
      f1 = 2 * recall * precision / (recall + precision) if recall * precision else 0.0
      scores.append((recall, precision, f1))
      weights.append(threshold)
  if not scores:
    raise ValueError(f'the truth has no boundary: no neighbours differ by {THRESHOLDS[0]:g}')
  # Rounding must make no share above 1.
  shares = np.minimum(np.average(scores, axis=0, weights=weights), 1)
  return Boundary(*map(float, shares))


def boundary_recall(
  depth: np.ndarray, truth: np.ndarray, valid: np.ndarray, *, tolerance: int = TOLERANCE
) -> float:
  """The recall of `boundary`."""
  return boundary(depth, truth, valid, tolerance=tolerance).recall


def _counts(
  depth: np.ndarray,
  truth: np.ndarray,
  valid: np.ndarray,
  known: np.ndarray,
  threshold: float,
  tolerance: int,
) -> Iterator[tuple[int, int, int, int]]:
  """Found and all true boundaries, right and all predicted ones, for each direction."""
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
