"""Depth boundaries: steps by hand, the tolerance, invalid pixels, and bad input."""

import numpy as np
import pytest

from depthjax.metrics import boundary

_H, _W = 24, 40


def _step(at=20, ratio=2.0):
  """A step of depth along a column, near on the left."""
  depth = np.ones((_H, _W))
  depth[:, at:] = ratio
  return depth, np.ones(depth.shape, bool)


@pytest.mark.parametrize('shift', [-3, -1, 0, 1, 2])
def test_boundary_may_be_shifted_by_the_tolerance_in_any_unit(shift):
  truth, valid = _step()
  depth, _ = _step(20 + shift)
  for tolerance in range(4):
    expected = (1, 1, 1) if abs(shift) <= tolerance else (0, 0, 0)
    assert boundary.boundary(1000 * depth, truth, valid, tolerance=tolerance) == expected


def test_directions_are_distinguished():
  truth, valid = _step()
  assert boundary.boundary(1 / truth, truth, valid).recall == 0
  square = truth[:, 8:32]
  assert boundary.boundary(square.T, square, valid[:, 8:32], tolerance=0).recall == 0
  assert boundary.boundary(square.T, square.T, valid[:, 8:32]) == (1, 1, 1)


def test_half_a_boundary_by_hand():
  """12 of 24 pixels of the step are predicted, and 36 that are wrong."""
  truth, valid = _step()
  depth = np.ones_like(truth)
  depth[: _H // 2, 20:] = 2
  depth[: _H // 2, :4] = 0.5
  found = boundary.boundary(depth, truth, valid, tolerance=0)
  # Of the wrong ones 12 are vertical; the horizontal ones are 20 and 4 pixels long.
  assert found == pytest.approx((1 / 2, 12 / 48, 2 * 0.5 * 0.25 / 0.75))


def test_smooth_slope_is_no_boundary():
  truth, valid = _step()
  slope = np.exp(np.linspace(0, np.log(2), _W)) + np.zeros((_H, 1))
  assert boundary.boundary(slope, truth, valid) == (0, 0, 0)
  with pytest.raises(ValueError, match='the truth has no boundary: no neighbours differ by 1.05'):
    boundary.boundary(truth, slope, valid)


def test_thresholds_are_weighted_by_their_value():
  """A step of ratio 1.15 is a boundary for the lower thresholds only."""
  truth, valid = _step()
  depth, _ = _step(ratio=1.15)
  thresholds = np.linspace(1.05, 1.25, 10)
  fraction = thresholds[thresholds < 1.15].sum() / thresholds.sum()
  found = boundary.boundary(depth, truth, valid)
  assert found == pytest.approx((fraction,) * 3) and 0.4 < fraction < 0.5
  # As the truth, thresholds without a boundary are ignored.
  assert boundary.boundary(truth, depth, valid).recall == 1


def test_predictions_beside_invalid_pixels_are_ignored():
  truth, valid = _step(ratio=2.0)
  truth[:10, 5:] *= 1.5
  depth = truth.copy()
  valid[:, 26:30] = False
  truth[~valid] = np.nan
  depth[:, 25] = 9
  assert boundary.boundary(depth, truth, valid, tolerance=1) == (1, 1, 1)
  # Two pixels away they are wrong.
  depth[:, 24] = 9
  assert boundary.boundary(depth, truth, valid, tolerance=1).precision < 0.8


def test_boundary_at_the_border_counts():
  truth, valid = _step()
  depth = np.where(np.arange(_W) == 0, 0.5, truth)
  assert boundary.boundary(depth, truth, valid, tolerance=1).precision == pytest.approx(0.5)


def test_bad_input_is_an_error():
  """Maps are checked as by `aligned.align`."""
  truth, valid = _step()
  for depth, tolerance, message in (
    (np.where(truth > 1, np.nan, truth), 1, 'NaN or infinite'),
    (truth - 1, 1, 'depth must be above 0'),
    (truth, -1, 'tolerance at least 0'),
  ):
    with pytest.raises(ValueError, match=message):
      boundary.boundary(depth, truth, valid, tolerance=tolerance)
