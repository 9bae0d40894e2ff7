"""Simulated stereo targets: holes beside edges and in occlusions, displaced edges."""

import cv2
import numpy as np
import pytest

from depthjax.data.errors import noise, stereo


def visible_by_definition(row, baseline):
  """A pixel is hidden if, after the shift, a pixel from its right is not to its right."""
  moved = np.arange(len(row), dtype=np.float32) - np.float32(baseline) * row
  return np.array([all(moved[i] <= other for other in moved[i + 1 :]) for i in range(len(row))])


@pytest.mark.parametrize('baseline', [0.0, 3.0, 11.0])
def test_visibility_equals_a_comparison_of_all_pixels(baseline):
  rng = np.random.default_rng(0)
  disparity = np.repeat(rng.random((4, 10)).astype(np.float32), 4, axis=1)
  want = [visible_by_definition(row, baseline) for row in disparity]
  np.testing.assert_array_equal(stereo.visible(disparity, baseline), want)
  mirrored = stereo.visible(disparity[:, ::-1], baseline, mirrored=True)[:, ::-1]
  np.testing.assert_array_equal(mirrored, want)


def test_holes_are_beside_edges_and_other_pixels_nearly_correct():
  truth = np.zeros((160, 160), np.float32)
  truth[:, 60:] = 0.02
  truth[50:110, 40:100] = 1
  distance = cv2.distanceTransform((~noise.edges(truth)).astype(np.uint8), cv2.DIST_L2, 5)
  holes, error = [], []
  for seed in range(12):
    target, valid = stereo.matched(np.random.default_rng(seed), truth)
    assert valid[distance > 0.025 * 160 + 3].all()
    holes.append((~valid).mean())
    error.append(np.abs(target - truth)[distance > 8].max())
  assert 0.001 < np.mean(holes) < 0.05
  assert 0 < np.mean(error) < 0.05
  # Edges are displaced and blurred.
  assert np.count_nonzero((0.2 < target) & (target < 0.8)) > 100
  assert 10 < np.count_nonzero((target > 0.5) != (truth > 0.5)) < 1500


def test_constant_truth_has_no_holes_and_no_noise():
  target, valid = stereo.matched(np.random.default_rng(0), np.full((32, 32), 0.4, np.float32))
  assert valid.all()
  np.testing.assert_allclose(target, 0.4, atol=1e-6)
