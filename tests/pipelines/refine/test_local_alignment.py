"""Local alignment: values of the consistent map, edges of the refined one."""

import cv2
import numpy as np
import pytest

from depthjax.files import depth
from depthjax.pipelines import maps
from depthjax.pipelines.refine import local_alignment

_H, _W = 240, 320


def _scene():
  """A true map in [0, 1], a blurred one, and a sharp one with low-frequency errors."""
  rows, columns = np.mgrid[:_H, :_W].astype(np.float32)
  truth = 0.2 + 0.2 * rows / _H + 0.4 * (columns > 0.4 * _W) * (rows > 0.3 * _H)
  low = cv2.GaussianBlur(truth, (0, 0), 2)
  drift = 0.5 * np.sin(columns / 60) * np.cos(rows / 50)
  return [x[..., None].astype(np.float32) for x in (truth, low, (1 + drift) * truth + 0.4 * drift)]


def _error(x, truth):
  return float(abs(x - truth).mean())


def test_result_has_values_of_the_consistent_map_and_edges_of_the_sharp_one():
  truth, low, high = _scene()
  refined = 0.6 * truth + 0.4 * high
  result = local_alignment.aligned(refined, low, depth.to_unit_range(high))
  assert result.shape == truth.shape and result.dtype == np.float32
  assert _error(result, truth) < 0.1 * _error(refined, truth)
  beside = (slice(100, 200), slice(120, 136))
  assert _error(result[beside], truth[beside]) < 0.7 * _error(low[beside], truth[beside])
  steepest = lambda x: np.abs(np.diff(x[150, :, 0])).max()  # noqa: E731
  assert steepest(result) > 0.3 > 3 * steepest(low)


def test_result_does_not_overshoot_beside_an_edge():
  """The sharp map has a bump beside an edge, the others do not."""
  high = np.zeros((_H, _W, 1), np.float32)
  high[:, _W // 2 :] = 0.8
  low = cv2.GaussianBlur(high, (0, 0), 2)[..., None]
  high[100:110, 164:170] += 0.3
  high[:, 250:270] = low[:, 250:270] = 1  # Values far from the edge have no influence there.
  result = local_alignment.aligned(low, low, high)
  unclipped = local_alignment.fitted(low, [low, high], [5e-4, 1e-5])
  part = (slice(60, 180), slice(140, 220))
  assert unclipped[part].max() > low[part].max() + 0.004
  assert low[part].min() <= result[part].min() and result[part].max() <= low[part].max()


def test_copies_of_one_map_return_the_refined_map():
  """A copy may have another size or 8 bits."""
  truth, low, _ = _scene()
  half = maps.resized(low, (_H // 2, _W // 2))
  for copy in (low.copy(), np.round(low * 255) / 255, half):
    assert local_alignment.aligned(truth, low, copy) is truth
    assert local_alignment.aligned(truth, copy, low) is truth
  assert local_alignment.aligned(low, low, truth) is not low


@pytest.mark.parametrize('shape', [(24, 32), (480, 640), (240, 6)])
def test_maps_may_have_different_sizes(shape):
  truth, low, high = (maps.resized(x, shape) for x in _scene())
  small = maps.resized(low, (24, 32)).astype(np.float64)
  result = local_alignment.aligned(high, small, maps.resized(high, (97, 130)))
  assert result.shape == truth.shape and result.dtype == np.float32
  assert _error(result, truth) < _error(high, truth)


def test_edges_come_from_the_refined_map_and_small_relief_from_the_sharp_one():
  """The sharp map has the edge at another position; the refined one lacks ripples."""
  _, columns = np.mgrid[:_H, :_W].astype(np.float32)
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


def test_guides_below_their_variance_are_ignored():
  _, low, high = _scene()
  result = local_alignment.fitted(low, [high, low], [1e3, 1e-6])
  np.testing.assert_allclose(result, low, atol=2e-3)
  both = local_alignment.fitted(low, [high, low[::-1]], [1e-4, 1e3])
  np.testing.assert_allclose(both, local_alignment.fitted(low, [high], [1e-4]), atol=2e-3)
