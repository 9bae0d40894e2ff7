"""Orders of pairs: known answers, a slow twin of the ranking, and what is refused."""

import numpy as np
import pytest

from depthjax.metrics import ordinal

_H, _W = 40, 60


def _halves(ratio=2.0):
  """A left half of disparity 1, a right one nearer by a ratio; all is known."""
  truth = np.ones((_H, _W))
  truth[:, _W // 2 :] = ratio
  return truth, np.ones(truth.shape, bool)


def _smooth(seed=0):
  """A disparity from 1 to 3 that varies everywhere, with holes."""
  rng = np.random.default_rng(seed)
  rows, columns = np.mgrid[:_H, :_W]
  truth = 2 + np.sin(rows / 7) * np.cos(columns / 9)
  valid = np.ones(truth.shape, bool)
  valid[10:16, 20:30] = False
  return truth + 0.05 * rng.random(truth.shape), valid


def _both(prediction, truth, valid, seed=0):
  points = ordinal.superpixels(np.where(valid, truth, np.nan), valid, 60)
  return (
    ordinal.d3r(prediction, truth, points),
    ordinal.ord_superpixel(prediction, truth, points, seed=seed),
  )


def test_superpixels_follow_the_truth_and_touch_their_neighbours():
  truth, valid = _halves()
  points = ordinal.superpixels(truth, valid, 60)
  near = truth[tuple(points.centres.T)] == 2
  assert 40 < len(points.centres) < 90 and near.sum() == pytest.approx(len(near) / 2, rel=0.3)
  a, b = points.touching.T
  assert (a != b).all() and points.touching.max() == len(points.centres) - 1
  # Neighbours of about 6 pixels each, along rows or columns.
  distances = np.linalg.norm(points.centres[a] - points.centres[b], axis=1)
  assert distances.max() < 20 < _W / 2
  assert 3 < (near[a] != near[b]).sum() < 20
  touching = ordinal.superpixels(*_smooth(), 60).touching
  assert len(np.unique(np.sort(touching), axis=0)) == len(touching) > 100
  assert touching.min() == 0


def test_centres_lie_at_the_scale_of_the_picture(monkeypatch):
  truth, valid = _halves()
  monkeypatch.setattr(ordinal, '_LONG_SIDE', _W)
  large = np.kron(truth, np.ones((3, 3)))
  large[::3], large[:, 2::3] = 7, 9  # A superpixel is of the middle of every 3 x 3.
  points, same = (ordinal.superpixels(x, x > 0, 60) for x in (large, truth))
  np.testing.assert_array_equal(points.centres, 3 * same.centres + 1)
  np.testing.assert_array_equal(points.touching, same.touching)


@pytest.mark.parametrize('scale, shift', [(1, 0), (7, -4), (1e-3, 0)])
def test_a_perfect_prediction_has_no_disagreement(scale, shift):
  for truth, valid in (_halves(), _smooth()):
    prediction = np.where(valid, scale * truth + shift, 99)
    assert _both(prediction, truth, valid) == (0, 0)
    assert _both(prediction, 1000 * truth, valid) == (0, 0)
    points = ordinal.superpixels(truth, valid, 60)
    np.testing.assert_allclose(*ordinal._depths(prediction, truth, points), atol=1e-12)


def test_swapped_orders_count_two_and_a_constant_one():
  truth, valid = _halves()
  points = ordinal.superpixels(truth, valid, 60)
  share = ordinal.ord_superpixel(np.zeros(truth.shape), truth, points, seed=0)
  assert _both(-truth, truth, valid) == (2, pytest.approx(2 * share))
  assert _both(np.full(truth.shape, 0.3), truth, valid) == (1, share)
  # Half of all pairs are of both halves.
  assert share == pytest.approx(0.5, abs=0.1)


def test_pairs_count_from_a_known_ratio_on():
  """Quarters at 1, 0.5, 0 and 0.525 of the range of depth: 5 % are an order for ORD alone."""
  place = np.kron([[1, 0.5], [0, 0.525]], np.ones((_H // 2, _W // 2)))
  truth, valid = 1 / (1 + 9 * place), np.ones((_H, _W), bool)
  points = ordinal.superpixels(truth, valid, 60)
  merged = np.where(place == 0.525, 1 / 5.5, truth)
  assert ordinal.d3r(merged, truth, points) == 0
  assert 0.05 < ordinal.ord_superpixel(merged, truth, points, seed=0) < 0.2
  # Without the step between 1 and 0.5 the pairs across it are wrong by 1, and no others.
  merged = np.where(place == 0.5, 0.1, truth)
  a, b = place[tuple(points.centres.T)][points.touching].T
  steps = (a != b) & ~np.isin(a + b, 1.025)
  wrong = np.isin(a + b, 1.5).sum() / steps.sum()
  assert 0.1 < wrong < 0.5
  assert ordinal.d3r(merged, truth, points) == pytest.approx(wrong)


def test_pixels_without_truth_do_not_count():
  truth, valid = _smooth()
  prediction = truth + np.random.default_rng(1).normal(size=truth.shape)
  other = np.where(valid, prediction, -50)
  assert _both(prediction, truth, valid) == _both(other, np.where(valid, truth, -1), valid)
  first = ordinal.ord_ranking(prediction, truth, valid, seed=0)
  assert first == ordinal.ord_ranking(other, np.where(valid, truth, np.nan), valid, seed=0)


def test_chance_is_of_the_seed_alone():
  truth, valid = _smooth()
  prediction = np.random.default_rng(1).random(truth.shape)
  metrics = (
    lambda seed: _both(prediction, truth, valid, seed)[1],
    lambda seed: ordinal.ord_ranking(prediction, truth, valid, seed=seed),
  )
  for metric in metrics:
    assert metric(0) == metric(0) != metric(1)
    assert metric(0) == pytest.approx(metric(1), rel=0.3)


@pytest.mark.parametrize('tau', [0.03, 0.5])
def test_the_ranking_of_each_pair_is_that_of_the_equation(tau):
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


def test_points_lie_on_a_line_across_the_edge_within_reach():
  edges = np.zeros((_H, 200))
  edges[:, 100:] = 1
  valid = np.ones(edges.shape, bool)
  a, b = ordinal._edge_pairs(edges, valid, np.random.default_rng(0))
  (rows, columns), (rows_b, columns_b) = (np.unravel_index(x, edges.shape) for x in (a, b))
  # Two columns of the Sobel filter are edges; each is drawn as often as it has pixels.
  assert len(a) == 3 * 2 * _H
  np.testing.assert_array_equal(rows, rows_b)
  n = len(a) // 3
  far = columns[:n], columns[n : 2 * n], columns_b[n : 2 * n], columns_b[2 * n :]
  for side, sign in zip(far, (-1, -1, 1, 1), strict=True):
    distance = sign * (side - 99.5)
    assert 1.5 <= distance.min() and 25 < distance.max() <= 30.5


def test_ranking_tells_orders_apart():
  truth, valid = _halves(3.0)
  perfect = ordinal.ord_ranking(truth, truth, valid, seed=0)
  # Two kinds of pairs: across, with a difference of 1, and within, with none.
  across = perfect / np.log(1 + np.exp(-1))
  assert 0.3 < across < 0.9
  flat = ordinal.ord_ranking(np.zeros(truth.shape), truth, valid, seed=0)
  assert flat == pytest.approx(across * np.log(2))
  assert ordinal.ord_ranking(5 * truth - 3, truth, valid, seed=0) == pytest.approx(perfect)
  noise = np.random.default_rng(0).random(truth.shape)
  assert ordinal.ord_ranking(noise, truth, valid, seed=0) > flat
  # Least squares turn it back where it is all upside down; a part is not.
  assert ordinal.ord_ranking(-truth, truth, valid, seed=0) == pytest.approx(perfect)
  part = np.where(np.arange(_H)[:, None] < 12, 4 - truth, truth)
  assert perfect < ordinal.ord_ranking(part, truth, valid, seed=0)


def test_edges_are_those_of_the_guide_where_there_is_one():
  """Pairs across a step of the guide, far from that of the truth, have no order."""
  truth, guide = np.ones((_H, 200)), np.zeros((_H, 200, 3))
  truth[:, 50:], guide[:, 130:, 0] = 2, 1
  valid = np.ones(truth.shape, bool)
  elsewhere = ordinal.ord_ranking(truth, truth, valid, guide, seed=0)
  guide[..., 0] = truth
  scores = [ordinal.ord_ranking(truth, truth, valid, edges, seed=0) for edges in (guide, None)]
  assert scores[0] == scores[1] > 1.4 * elsewhere


def test_refusals():
  truth, valid = _halves()
  points = ordinal.superpixels(truth, valid, 60)
  broken = np.where(truth > 1, np.nan, 1)
  for metric in (
    lambda x: ordinal.d3r(x, truth, points),
    lambda x: ordinal.ord_superpixel(x, truth, points, seed=0),
    lambda x: ordinal.ord_ranking(x, truth, valid, seed=0),
  ):
    with pytest.raises(ValueError, match='NaN or infinite values'):
      metric(broken)
    with pytest.raises(ValueError, match='of one size'):
      metric(truth[1:])
  with pytest.raises(ValueError, match='not finite and above 0'):
    ordinal.superpixels(-truth, valid, 60)
  with pytest.raises(ValueError, match='no two neighbouring superpixels'):
    ordinal.superpixels(truth, np.arange(_W) + np.zeros((_H, 1)) == 3, 4)
  flat = np.ones(truth.shape)
  with pytest.raises(ValueError, match='no neighbours of the truth differ'):
    ordinal.d3r(truth, flat, ordinal.superpixels(flat, valid, 60))
  with pytest.raises(ValueError, match='edges are taken from has none'):
    # Holes are filled before edges are looked for.
    ordinal.ord_ranking(truth, 5 * flat, truth + np.arange(_W) % 7 > 2.5, seed=0)
  with pytest.raises(ValueError, match=r'the guide \[40, 60\] must be \[40, 60, 3\]'):
    ordinal.ord_ranking(truth, truth, valid, truth, seed=0)
