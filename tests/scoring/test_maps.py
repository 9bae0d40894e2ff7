"""Rows of metrics: equal to each metric, and better for better maps."""

import numpy as np
import pytest
from scipy import ndimage

from depthjax.metrics import aligned, boundary, ordinal
from depthjax.scoring import maps as map_scoring


def _truth(seed=0, guide=None):
  """Boxes of disparity 1 to 4 with missing pixels, 60 x 80."""
  rng = np.random.default_rng(seed)
  disparity = 1 + 0.01 * rng.random((60, 80))
  disparity[10:40, 10:50] += 1
  disparity[25:55, 30:70] += 2
  valid = rng.random(disparity.shape) < 0.95
  return map_scoring.Truth(np.where(valid, disparity, np.nan), valid, guide, seed=seed), disparity


_LARGER_IS_BETTER = ('delta1', 'delta2', 'delta3', 'recall', 'f1')


def test_the_truth_is_perfect_at_any_scale_and_a_blurred_map_is_worse():
  truth, disparity = _truth()
  blurred = truth.scores(ndimage.gaussian_filter(disparity, 4))
  for prediction in (disparity, 10 * disparity - 7):
    for name, value in truth.scores(prediction).items():
      perfect = float(name in _LARGER_IS_BETTER)
      # ORD is a ranking loss, which is positive even for the truth.
      assert name == 'ord' or value == pytest.approx(perfect, abs=1e-6), name
      assert name == 'clipped' or (blurred[name] < value if perfect else blurred[name] > value)


def test_scores_equal_the_metrics():
  guide = np.random.default_rng(0).random((60, 80, 3))
  truth, disparity = _truth(3, guide)
  valid = truth.valid
  prediction = ndimage.gaussian_filter(disparity, 0.6)
  prediction[:2] = -20
  scores = truth.scores(prediction)
  known = np.where(valid, disparity, 1)
  found = aligned.align(prediction, 1 / known, valid)
  expected = aligned.errors(found.depth, 1 / known, valid)
  edges = boundary.boundary(found.depth, 1 / known, valid)
  scale, shift = np.polyfit(prediction[valid], disparity[valid], 1)
  points = ordinal.superpixels(known, valid)
  expected |= {
    'clipped': found.clipped,
    'rmse_disparity': np.std((scale * prediction + shift - disparity)[valid]),
    'ord': ordinal.ord_ranking(prediction, known, valid, guide, seed=3),
    'ord_superpixel': ordinal.ord_superpixel(prediction, known, points, seed=3),
    'd3r': ordinal.d3r(prediction, known, points),
    'recall': edges.recall,
    'f1': edges.f1,
  }
  assert scores == pytest.approx(expected) and found.clipped > 0
