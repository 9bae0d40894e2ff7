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


def test_the_truth_is_perfect_at_any_scale_and_a_blurred_map_is_worse():
  truth, disparity = _truth()
  blurred = truth.scores(ndimage.gaussian_filter(disparity, 4))
  for prediction in (disparity, 10 * disparity - 7):
    for name, value in truth.scores(prediction).items():
      perfect = float(name in map_scoring.RISING)
      # ORD is a ranking loss, which is positive even for the truth.
      assert name == 'ord' or value == pytest.approx(perfect, abs=1e-6), name
      assert name == 'clipped' or (blurred[name] < value if perfect else blurred[name] > value)


def test_scores_equal_the_metrics():
  truth, disparity = _truth(seed=3)
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
    'ord': ordinal.ord_ranking(prediction, known, valid, seed=3),
    'ord_superpixel': ordinal.ord_superpixel(prediction, known, points, seed=3),
    'd3r': ordinal.d3r(prediction, known, points),
    'recall': edges.recall,
    'f1': edges.f1,
  }
  assert scores == pytest.approx(expected)
  assert found.clipped > 0 and len(set(edges)) == 3


def test_a_photograph_changes_the_edges_of_the_ranking_only():
  guide = np.random.default_rng(0).random((60, 80, 3))
  (truth, disparity), (guided, _) = _truth(), _truth(guide=guide)
  with_photo, without = guided.scores(disparity), truth.scores(disparity)
  expected = ordinal.ord_ranking(disparity, guided.disparity, guided.valid, guide, seed=0)
  assert with_photo.pop('ord') == expected != without.pop('ord')
  assert with_photo == without


def test_invalid_maps_are_refused():
  truth, disparity = _truth()
  with pytest.raises(ValueError, match='NaN or infinite'):
    truth.scores(np.where(disparity > 2, np.nan, 1))
  with pytest.raises(ValueError, match='no valid pixel'):
    map_scoring.Truth(disparity, np.zeros(disparity.shape, bool))
