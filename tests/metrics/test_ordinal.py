"""Ordinal errors: known values, a twin of the ranking loss, and bad input."""

import numpy as np
import pytest

from depthjax.metrics import ordinal

_H, _W = 40, 60
_ALL = np.ones((_H, _W), bool)
# Disparity 1 in the left half and 2 in the right one.
_HALVES = _ALL + 1.0 * (np.arange(_W) >= _W // 2)
# Smooth disparity from 1 to 3, with a hole.
_ROWS, _COLUMNS = np.mgrid[:_H, :_W]
_NOISE = np.random.default_rng(0).random((_H, _W))
_SMOOTH = 2 + np.sin(_ROWS / 7) * np.cos(_COLUMNS / 9) + 0.05 * _NOISE
_HOLE = (abs(_ROWS - 12.5) > 3) | (abs(_COLUMNS - 24.5) > 5)


def _both(prediction, truth, valid, seed=0):
  points = ordinal.superpixels(np.where(valid, truth, np.nan), valid, 60)
  order = ordinal.ord_superpixel(prediction, truth, points, seed=seed)
  return ordinal.d3r(prediction, truth, points), order


def test_superpixels_follow_the_truth_and_pairs_are_neighbours():
  points = ordinal.superpixels(_HALVES, _ALL, 60)
  near = _HALVES[tuple(points.centres.T)] == 2
  assert 40 < len(points.centres) < 90 and near.sum() == pytest.approx(len(near) / 2, rel=0.3)
  a, b = points.touching.T
  assert (a != b).all() and points.touching.max() == len(points.centres) - 1
  # Superpixels are about 6 pixels wide.
  distances = np.linalg.norm(points.centres[a] - points.centres[b], axis=1)
  assert distances.max() < 20 < _W / 2
  assert 3 < (near[a] != near[b]).sum() < 20
  touching = ordinal.superpixels(_SMOOTH, _HOLE, 60).touching
  assert len(np.unique(np.sort(touching), axis=0)) == len(touching) > 100
  assert touching.min() == 0


def test_centres_have_full_size_coordinates(monkeypatch):
  monkeypatch.setattr(ordinal, '_LONG_SIDE', _W)
  large = np.kron(_HALVES, np.ones((3, 3)))
  large[::3], large[:, 2::3] = 7, 9  # Only the centre of every 3 x 3 block is used.
  points, same = (ordinal.superpixels(x, x > 0, 60) for x in (large, _HALVES))
  np.testing.assert_array_equal(points.centres, 3 * same.centres + 1)
  np.testing.assert_array_equal(points.touching, same.touching)


@pytest.mark.parametrize('scale, shift', [(1, 0), (7, -4), (1e-3, 0)])
def test_perfect_prediction_of_any_scale_and_shift_has_no_error(scale, shift):
  for truth, valid in ((_HALVES, _ALL), (_SMOOTH, _HOLE)):
    prediction = np.where(valid, scale * truth + shift, 99)
    assert _both(prediction, truth, valid) == (0, 0)
    assert _both(prediction, 1000 * truth, valid) == (0, 0)
    points = ordinal.superpixels(truth, valid, 60)
    np.testing.assert_allclose(*ordinal._depths(prediction, truth, points), atol=1e-12)


def test_inverted_order_scores_two_and_constant_prediction_one():
  constant, fraction = _both(0.3 * _ALL, _HALVES, _ALL)
  # Half of all random pairs cross the step.
  assert constant == 1 and fraction == pytest.approx(0.5, abs=0.1)
  assert _both(-_HALVES, _HALVES, _ALL) == (2, pytest.approx(2 * fraction))


def test_d3r_ignores_pairs_below_its_ratio():
  """Quarters at 1, 0.5, 0 and 0.525 of the range of depth: only ORD compares the last 5 %."""
  depth = np.kron([[1, 0.5], [0, 0.525]], np.ones((_H // 2, _W // 2)))
  truth = 1 / (1 + 9 * depth)
  points = ordinal.superpixels(truth, _ALL, 60)
  merged = np.where(depth == 0.525, 1 / 5.5, truth)
  assert ordinal.d3r(merged, truth, points) == 0
  assert 0.05 < ordinal.ord_superpixel(merged, truth, points, seed=0) < 0.2
  # Without the step between 1 and 0.5, only the pairs across it are wrong, each by 1.
  merged = np.where(depth == 0.5, 0.1, truth)
  a, b = depth[tuple(points.centres.T)][points.touching].T
  wrong = np.sum(a + b == 1.5) / np.sum((a != b) & (a + b != 1.025))
  assert 0.1 < wrong < 0.5
  assert ordinal.d3r(merged, truth, points) == pytest.approx(wrong)


def test_invalid_pixels_are_ignored():
  prediction = _SMOOTH + np.random.default_rng(1).normal(size=_SMOOTH.shape)
  other, truth = np.where(_HOLE, prediction, -50), np.where(_HOLE, _SMOOTH, np.nan)
  assert _both(prediction, _SMOOTH, _HOLE) == _both(other, truth, _HOLE)
  scores = [ordinal.ord_ranking(*x, _HOLE, seed=0) for x in ((prediction, _SMOOTH), (other, truth))]
  assert scores[0] == scores[1]


def test_random_pairs_depend_on_the_seed_alone():
  for metric in (
    lambda seed: _both(_NOISE, _SMOOTH, _HOLE, seed)[1],
    lambda seed: ordinal.ord_ranking(_NOISE, _SMOOTH, _HOLE, seed=seed),
  ):
    assert metric(0) == metric(0) != metric(1)
    assert metric(0) == pytest.approx(metric(1), rel=0.3)


@pytest.mark.parametrize('tau', [0.03, 0.5])
def test_ranking_equals_the_equation(tau):
  rng = np.random.default_rng(0)
  p0, p1, g0, g1 = rng.uniform(0.5, 1.5, (4, 50))
  expected = []
  for a, b, c, d in zip(p0, p1, g0, g1, strict=True):
    if c / d >= 1 + tau:
      expected.append(np.log(1 + np.exp(-(a - b))))
    elif c / d <= 1 / (1 + tau):
      expected.append(np.log(1 + np.exp(a - b)))
    else:
      expected.append((a - b) ** 2)
  np.testing.assert_allclose(ordinal._ranking(p0 - p1, g0 / g1, tau), expected)


def test_points_are_on_a_line_across_the_edge():
  edges = np.zeros((_H, 200))
  edges[:, 100:] = 1
  a, b = ordinal._edge_pairs(edges, edges >= 0, np.random.default_rng(0))
  (rows, columns), (rows_b, columns_b) = (np.unravel_index(x, edges.shape) for x in (a, b))
  # The Sobel filter gives two columns of edge pixels.
  assert len(a) == 3 * 2 * _H
  np.testing.assert_array_equal(rows, rows_b)
  n = len(a) // 3
  far = columns[:n], columns[n : 2 * n], columns_b[n : 2 * n], columns_b[2 * n :]
  for side, sign in zip(far, (-1, -1, 1, 1), strict=True):
    distance = sign * (side - 99.5)
    assert 1.5 <= distance.min() and 25 < distance.max() <= 30.5


def test_ranking_penalises_wrong_orders():
  truth = 2 * _HALVES - 1
  score = lambda prediction: ordinal.ord_ranking(prediction, truth, _ALL, seed=0)  # noqa: E731
  perfect = score(truth)
  # Pairs across the step have a difference of 1, all others 0.
  across = perfect / np.log(1 + np.exp(-1))
  assert 0.3 < across < 0.9
  flat = score(0 * truth)
  assert flat == pytest.approx(across * np.log(2))
  assert score(5 * truth - 3) == pytest.approx(perfect)
  assert score(_NOISE) > flat
  # Alignment corrects an inverted map, but not one that is inverted in part.
  assert score(-truth) == pytest.approx(perfect)
  assert score(np.where(_ROWS < 12, 4 - truth, truth)) > perfect


def test_guide_defines_the_edges():
  """Pairs across a step of the guide that is none of the truth have no order."""
  truth, guide = np.ones((_H, 200)), np.zeros((_H, 200, 3))
  truth[:, 50:], guide[:, 130:, 0] = 2, 1
  valid = np.ones(truth.shape, bool)
  elsewhere = ordinal.ord_ranking(truth, truth, valid, guide, seed=0)
  guide[..., 0] = truth
  scores = [ordinal.ord_ranking(truth, truth, valid, edges, seed=0) for edges in (guide, None)]
  assert scores[0] == scores[1] > 1.4 * elsewhere


def test_bad_input_is_an_error():
  points = ordinal.superpixels(_HALVES, _ALL, 60)
  broken = np.where(_HALVES > 1, np.nan, 1)
  for metric in (
    lambda x: ordinal.d3r(x, _HALVES, points),
    lambda x: ordinal.ord_superpixel(x, _HALVES, points, seed=0),
    lambda x: ordinal.ord_ranking(x, _HALVES, _ALL, seed=0),
  ):
    with pytest.raises(ValueError, match='NaN or infinite values'):
      metric(broken)
  with pytest.raises(ValueError, match='not finite and above 0'):
    ordinal.superpixels(-_HALVES, _ALL, 60)
  with pytest.raises(ValueError, match='no two neighbouring superpixels'):
    ordinal.superpixels(_HALVES, _COLUMNS == 3, 4)
  flat = 1.0 * _ALL
  with pytest.raises(ValueError, match='no neighbours of the truth differ'):
    ordinal.d3r(_HALVES, flat, ordinal.superpixels(flat, _ALL, 60))
  with pytest.raises(ValueError, match='it has no edge at a valid pixel'):
    # Holes are filled before edges are computed.
    ordinal.ord_ranking(_HALVES, 5 * flat, _HALVES + _COLUMNS % 7 > 2.5, seed=0)
  with pytest.raises(ValueError, match=r'the guide is \[40, 60\]; it must be \[40, 60, 3\]'):
    ordinal.ord_ranking(_HALVES, _HALVES, _ALL, _HALVES, seed=0)
