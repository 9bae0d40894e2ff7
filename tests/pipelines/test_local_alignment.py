"""A refined map takes the consistent one's values in every place, and keeps its edges."""

import cv2
import numpy as np
import pytest

from depthjax.pipelines import local_alignment, maps

_H, _W = 240, 320


def _scene():
  """A true map in [0, 1], its blurred view, and a sharp one whose values drift."""
  rows, columns = np.mgrid[:_H, :_W].astype(np.float32)
  truth = 0.2 + 0.2 * rows / _H + 0.4 * (columns > 0.4 * _W) * (rows > 0.3 * _H)
  low = cv2.GaussianBlur(truth, (0, 0), 2)
  drift = 0.5 * np.sin(columns / 60) * np.cos(rows / 50)
  return [x[..., None].astype(np.float32) for x in (truth, low, (1 + drift) * truth + 0.4 * drift)]


def _error(x, truth):
  return float(abs(x - truth).mean())


def test_values_are_those_of_the_consistent_map_and_edges_of_the_sharp_ones():
  truth, low, high = _scene()
  refined = 0.6 * truth + 0.4 * high
  result = local_alignment.aligned(refined, low, maps.unit(high, 'high').values)
  assert result.shape == truth.shape and result.dtype == np.float32
  assert _error(result, truth) < 0.1 * _error(refined, truth)
  beside = (slice(100, 200), slice(120, 136))
  assert _error(result[beside], truth[beside]) < 0.7 * _error(low[beside], truth[beside])
  steepest = lambda x: np.abs(np.diff(x[150, :, 0])).max()  # noqa: E731
  assert steepest(result) > 0.3 > 3 * steepest(low)


def test_nothing_overshoots_beside_an_edge():
  """Where the sharp map has a bump by an edge of which the others know nothing."""
  high = np.zeros((_H, _W, 1), np.float32)
  high[:, _W // 2 :] = 0.8
  low = cv2.GaussianBlur(high, (0, 0), 2)[..., None]
  high[100:110, 164:170] += 0.3
  result = local_alignment.aligned(low, low, high)
  assert local_alignment.fitted(low, [low, high], [5e-4, 1e-5]).max() > low.max() + 0.004
  assert low.min() <= result.min() and result.max() <= low.max()


def test_a_refined_map_that_agrees_stays():
  truth, *_ = _scene()
  rough = np.random.default_rng(0).random((_H, _W, 1), np.float32)
  result = local_alignment.aligned(truth, truth, rough)
  np.testing.assert_allclose(result, truth, atol=0.05)
  assert _error(result, truth) < 0.003


def test_one_map_for_both_is_refined_all_the_same():
  truth, low, _ = _scene()
  assert local_alignment.aligned(truth, low, low.copy()) is truth


@pytest.mark.parametrize('shape', [(24, 32), (480, 640), (240, 6)])
def test_sizes_are_free(shape):
  truth, low, high = (maps.resized(x, shape) for x in _scene())
  small = maps.resized(low, (24, 32))
  result = local_alignment.aligned(high, small, maps.resized(high, (97, 130)))
  assert result.shape == truth.shape
  assert _error(result, truth) < _error(high, truth)


def test_edges_are_those_of_the_refined_map_and_small_relief_that_of_the_sharp_one():
  """Of an edge the sharp map has in the wrong place, and of ripples which the network lost."""
  rows, columns = np.mgrid[:_H, :_W].astype(np.float32)
  step = lambda at: 0.5 * (columns > at)[..., None]  # noqa: E731
  ripples = (0.01 * np.sin(columns / 12))[..., None]
  low = cv2.GaussianBlur((step(160) + ripples)[..., 0].astype(np.float32), (0, 0), 4)[..., None]
  high = (0.4 * step(166) + 0.8 * ripples).astype(np.float32)
  result = local_alignment.aligned(step(160).astype(np.float32), low, high)
  edge = np.abs(np.diff(result[120, :, 0]))
  assert edge.argmax() == 160 and edge.max() > 0.3 > 2 * edge[165:168].max()
  part = (slice(None), slice(20, 120))
  assert np.corrcoef(result[part].ravel(), ripples[part].ravel())[0, 1] > 0.98
  np.testing.assert_allclose(result[part].std(), ripples[part].std(), rtol=0.25)


def test_a_guide_is_followed_from_its_variance_on():
  _, low, high = _scene()
  stiff = local_alignment.fitted(low, [high, low], [1e3, 1e-6])
  np.testing.assert_allclose(stiff, low, atol=2e-3)
  both = local_alignment.fitted(low, [high, low[::-1]], [1e-4, 1e3])
  np.testing.assert_allclose(both, local_alignment.fitted(low, [high], [1e-4]), atol=2e-3)
