"""Depth boundaries: a step by hand, the tolerance, what is unknown, and what is refused."""

import numpy as np
import pytest

from depthjax.metrics import boundary

_H, _W = 24, 40


def _step(at=20, ratio=2.0):
  """A step of depth along a column, near on the left."""
  depth = np.ones((_H, _W))
  depth[:, at:] = ratio
  return depth, np.ones(depth.shape, bool)


@pytest.mark.parametrize('tolerance', [0, 1, 3])
@pytest.mark.parametrize('unit', [1, 1000])
def test_a_perfect_prediction_has_all_boundaries(tolerance, unit):
  truth, valid = _step()
  assert boundary.boundary(unit * truth, truth, valid, tolerance=tolerance) == (1, 1, 1)


@pytest.mark.parametrize('shift', [-3, -1, 1, 2])
def test_a_boundary_may_be_off_by_the_tolerance(shift):
  truth, valid = _step()
  depth, _ = _step(20 + shift)
  for tolerance in range(4):
    expected = (1, 1, 1) if abs(shift) <= tolerance else (0, 0, 0)
    assert boundary.boundary(depth, truth, valid, tolerance=tolerance) == expected


def test_the_other_way_up_and_along_the_other_axis_is_another_boundary():
  truth, valid = _step()
  assert boundary.boundary_recall(1 / truth, truth, valid) == 0
  square = truth[:, 8:32]
  assert boundary.boundary_recall(square.T, square, valid[:, 8:32], tolerance=0) == 0
  rows = boundary.boundary(square.T, square.T, valid[:, 8:32])
  assert rows == (1, 1, 1)


def test_part_of_a_boundary_by_hand():
  """A half of the step is found, 12 pixels long; with all that is invented there are 48."""
  truth, valid = _step()
  depth = np.ones_like(truth)
  depth[: _H // 2, 20:] = 2
  depth[: _H // 2, :4] = 0.5
  found = boundary.boundary(depth, truth, valid, tolerance=0)
  # Of those another 12 stand upright, and the lower rims are 20 and 4 pixels long.
  assert found == pytest.approx((1 / 2, 12 / 48, 2 * 0.5 * 0.25 / 0.75))


def test_smooth_slopes_and_blurred_steps_are_no_boundary():
  truth, valid = _step()
  slope = np.exp(np.linspace(0, np.log(2), _W)) + np.zeros((_H, 1))
  assert boundary.boundary(slope, truth, valid) == (0, 0, 0)
  with pytest.raises(ValueError, match='the truth has no boundary: no neighbours differ by 1.05'):
    boundary.boundary(truth, slope, valid)


def test_higher_steps_count_at_more_thresholds():
  """One of a ratio of 1.15 is a boundary for the lower thresholds only, which weigh less."""
  truth, valid = _step()
  depth, _ = _step(ratio=1.15)
  thresholds = np.linspace(1.05, 1.25, 10)
  share = thresholds[thresholds < 1.15].sum() / thresholds.sum()
  found = boundary.boundary(depth, truth, valid)
  assert found == pytest.approx((share, share, share)) and 0.4 < share < 0.5
  # As the truth it has boundaries at these alone.
  assert boundary.boundary(truth, depth, valid).recall == 1


def test_what_is_beside_unknown_truth_is_neither_right_nor_wrong():
  truth, valid = _step(ratio=2.0)
  truth *= 1000
  truth[:10, 5:] *= 1.5
  depth = truth.copy()
  valid[:, 26:30] = False
  truth[~valid] = np.nan
  depth[:, 25] = 9000
  assert boundary.boundary(depth, truth, valid, tolerance=1) == (1, 1, 1)
  # Two pixels from it, it is wrong.
  depth[:, 24] = 9000
  assert boundary.boundary(depth, truth, valid, tolerance=1).precision < 0.8


def test_a_boundary_beside_the_border_counts():
  truth, valid = _step()
  depth = truth.copy()
  depth[:, 0] = 0.5
  assert boundary.boundary(depth, truth, valid, tolerance=1).precision == pytest.approx(0.5)


def test_refusals():
  truth, valid = _step()
  with pytest.raises(ValueError, match='NaN or infinite'):
    boundary.boundary(np.where(truth > 1, np.nan, truth), truth, valid)
  with pytest.raises(ValueError, match='depth must be above 0'):
    boundary.boundary(truth - 1, truth, valid)
  with pytest.raises(ValueError, match='the tolerance not below'):
    boundary.boundary(truth, truth, valid, tolerance=-1)
  with pytest.raises(ValueError, match='of one size'):
    boundary.boundary(truth[1:], truth, valid)
