"""The row of all scores: each is that of its metric, and better for what is better."""

import numpy as np
import pytest
from scipy import ndimage

from depthjax.metrics import aligned, boundary, ordinal
from depthjax.scoring import maps as map_scoring


def _truth(seed=0, guide=None):
  """Boxes of disparity 1 to 4 with holes, 60 x 80."""
  rng = np.random.default_rng(seed)
  disparity = 1 + 0.01 * rng.random((60, 80))
  disparity[10:40, 10:50] += 1
  disparity[25:55, 30:70] += 2
  valid = rng.random(disparity.shape) < 0.95
  return map_scoring.Truth(np.where(valid, disparity, np.nan), valid, guide, seed=seed), disparity


def test_a_perfect_prediction_of_any_scale_is_perfect():
  truth, disparity = _truth()
  for prediction in (disparity, 10 * disparity - 7):
    scores = truth.scores(prediction)
    for name in map_scoring.RISING:
      assert scores[name] == 1
    for name in ('rel', 'sqrel', 'rmse', 'log10', 'rmse_disparity'):
      assert scores[name] == pytest.approx(0, abs=1e-6)
    assert scores['clipped'] == scores['d3r'] == scores['ord_superpixel'] == 0


def test_every_score_but_the_clipped_share_tells_a_blurred_map_from_the_truth():
  truth, disparity = _truth()
  best, blurred = (truth.scores(x) for x in (disparity, ndimage.gaussian_filter(disparity, 4)))
  for name, value in blurred.items():
    if name in map_scoring.RISING:
      assert value < best[name], name
    elif name != 'clipped':
      assert value > best[name], name


def test_scores_are_those_of_the_metrics():
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


def test_edges_of_the_ranking_are_those_of_the_photograph_where_there_is_one():
  guide = np.random.default_rng(0).random((60, 80, 3))
  (truth, disparity), (guided, _) = _truth(), _truth(guide=guide)
  with_photo, without = guided.scores(disparity), truth.scores(disparity)
  assert with_photo.pop('ord') != without.pop('ord')
  assert with_photo == without
  expected = ordinal.ord_ranking(disparity, guided.disparity, guided.valid, guide, seed=0)
  assert guided.scores(disparity)['ord'] == expected


def test_what_cannot_be_scored():
  truth, disparity = _truth()
  with pytest.raises(ValueError, match='NaN or infinite'):
    truth.scores(np.where(disparity > 2, np.nan, 1))
  with pytest.raises(ValueError, match='of one size'):
    truth.scores(disparity[1:])
  with pytest.raises(ValueError, match='no valid pixel'):
    map_scoring.Truth(disparity, np.zeros(disparity.shape, bool))
