"""Where a picture is focused, how far the lens opens, and how both move through an animation."""

import math

import numpy as np
import pytest

from depthjax.pipelines.refocus import refocus


def test_disparity_is_the_median_around_a_point():
  disparity = np.zeros((6, 9, 1), np.float32)
  disparity[2:5, 3:8] = 1
  disparity[3, 5] = 0  # One wrong pixel does not move the focus.
  assert refocus.disparity_at(disparity, 5, 3) == 1
  assert refocus.disparity_at(disparity, 0, 0) == 0
  assert refocus.disparity_at(disparity, 8, 5) == 0
  disparity[:] = np.arange(54).reshape(6, 9, 1)
  assert refocus.disparity_at(disparity, 4, 3) == 9 * 3 + 4
  assert refocus.disparity_at(disparity, 8, 0) == np.median(disparity[:3, 6:])


@pytest.mark.parametrize('x, y', [(-1, 0), (9, 0), (0, 6), (0, -3)])
def test_a_point_outside_is_refused(x, y):
  with pytest.raises(ValueError, match=rf'{x},{y} is outside the picture of 9 x 6 pixels'):
    refocus.disparity_at(np.zeros((6, 9, 1)), x, y)


def test_disparity_is_the_median_within_a_box():
  disparity = np.arange(54, dtype=np.float32).reshape(6, 9, 1)
  assert refocus.disparity_within(disparity, (2, 1, 5, 2)) == 9 + 3
  assert refocus.disparity_within(disparity, (8, 0, 9, 6)) == np.median(disparity[:, 8])
  assert refocus.disparity_within(disparity, (0, 0, 9, 6)) == np.median(disparity)


@pytest.mark.parametrize('box', [(0, 0, 10, 6), (0, 0, 9, 7), (-1, 0, 3, 3), (0, -1, 3, 3)])
def test_a_box_outside_is_refused(box):
  with pytest.raises(ValueError, match='is not within the picture of 9 x 6 pixels'):
    refocus.disparity_within(np.zeros((6, 9, 1)), box)


@pytest.mark.parametrize('box', [(3, 2, 3, 4), (3, 2, 2, 4), (3, 2, 4, 2)])
def test_an_empty_box_is_refused(box):
  with pytest.raises(ValueError, match='is empty; x0 < x1 and y0 < y1'):
    refocus.disparity_within(np.zeros((6, 9, 1)), box)


def test_an_aperture_is_a_share_of_the_long_side():
  assert refocus.radius_of(1, (213, 320)) == refocus.radius_of(1, (320, 213)) == 16
  assert refocus.radius_of(0.5, (640, 427)) == 16 and refocus.radius_of(0, (9, 9)) == 0
  for aperture in (-0.1, 1.1, math.nan):
    with pytest.raises(ValueError, match=rf'aperture is {aperture:g}; it must lie in \[0, 1\]'):
      refocus.radius_of(aperture, (9, 9))


def test_sweeps_go_there_and_back_and_loop():
  focus = np.array(list(refocus.focus_sweep(8, near=0.9, far=0.1)))
  radii = np.array(list(refocus.aperture_sweep(8, 6.0)))
  assert (focus[0], radii[0], radii[4]) == (0.9, 0, 6) and focus[4] == pytest.approx(0.1)
  for values in (focus, radii):
    np.testing.assert_allclose(values[1:], values[:0:-1], atol=1e-12)  # Back as there.
    steps = np.abs(np.diff([*values, values[0]]))
    assert steps.max() < 0.36 * np.ptp(values)  # Also from the last frame to the first.
