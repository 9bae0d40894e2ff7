"""Disparity in focus, aperture to radius, and animations."""

import math

import numpy as np
import pytest

from depthjax.pipelines.refocus import lens, refocus


def test_focus_is_the_median_around_a_pixel():
  disparity = np.zeros((6, 9, 1), np.float32)
  disparity[2:5, 3:8] = 1
  disparity[3, 5] = 0  # A single wrong pixel has no influence.
  assert [refocus.disparity_at(disparity, *at) for at in ((5, 3), (0, 0), (8, 5))] == [1, 0, 0]
  disparity[:] = np.arange(54).reshape(6, 9, 1)
  assert refocus.disparity_at(disparity, 4, 3) == 9 * 3 + 4
  assert refocus.disparity_at(disparity, 8, 0) == np.median(disparity[:3, 6:])
  for x, y in ((-1, 0), (9, 0), (0, 6), (0, -3)):
    with pytest.raises(ValueError, match=rf'{x},{y} is outside the picture; it has 9 x 6 pixels'):
      refocus.disparity_at(disparity, x, y)


def test_focus_is_the_median_within_a_box():
  disparity = np.arange(54, dtype=np.float32).reshape(6, 9, 1)
  assert refocus.disparity_within(disparity, (2, 1, 5, 2)) == 9 + 3
  assert refocus.disparity_within(disparity, (8, 0, 9, 6)) == np.median(disparity[:, 8])
  assert refocus.disparity_within(disparity, (0, 0, 9, 6)) == np.median(disparity)
  for box in ('0 0 10 6', '0 0 9 7', '-1 0 3 3', '0 -1 3 3', '3 2 3 4', '3 2 4 2'):
    with pytest.raises(ValueError, match='is empty or outside the picture; .* 0 <= x0 < x1 <= 9'):
      refocus.disparity_within(disparity, tuple(map(int, box.split())))


def test_radius_is_proportional_to_aperture_and_long_side():
  assert refocus.radius_of(1, (213, 320)) == refocus.radius_of(1, (320, 213)) == 16
  assert refocus.radius_of(0.5, (640, 427)) == 16 and refocus.radius_of(0, (9, 9)) == 0
  for aperture in (-0.1, 1.1, math.nan):
    with pytest.raises(ValueError, match=rf'aperture is {aperture:g}; it must be in \[0, 1\]'):
      refocus.radius_of(aperture, (9, 9))


def test_animations_are_symmetric_and_loop_smoothly():
  focus = np.array(list(refocus.focus_sweep(8)))
  radii = np.array(list(refocus.aperture_sweep(8, 6.0)))
  assert (focus[0], radii[0], radii[4]) == (1, 0, 6) and focus[4] == pytest.approx(0)
  for values in (focus, radii):
    np.testing.assert_allclose(values[1:], values[:0:-1], atol=1e-12)
    steps = np.abs(np.diff([*values, values[0]]))
    assert steps.max() < 0.36 * np.ptp(values)


def test_the_lens_focuses_as_asked_and_is_limited():
  disparity = np.linspace(0, 1, 40 * 60, dtype=np.float32).reshape(40, 60, 1)
  middle = refocus.disparity_at(disparity, 30, 20)
  found = lens.lens(disparity)
  assert found.focus == middle and found.radius == refocus.radius_of(0.5, (40, 60))
  assert found.largest == found.wanted == refocus.largest_blur(disparity, middle, found.radius)
  for focus, expected in (
    (0.25, 0.25),
    (1, 1),
    ((3, 5), refocus.disparity_at(disparity, 3, 5)),
    ((3, 5, 9, 11), refocus.disparity_within(disparity, (3, 5, 9, 11))),
  ):
    assert lens.lens(disparity, focus=focus).focus == expected
  # The largest blur is a quarter of the long side, 15 px; a moving focus blurs by the radius.
  assert lens.lens(disparity, focus=0.25, radius=40) == pytest.approx((0.25, 20, 15, 30))
  assert lens.lens(disparity, focus=0.25, radius=10, sweeps=True).wanted == 10
  assert lens.lens(disparity, aperture=0).radius == 0


@pytest.mark.parametrize(
  'fields, words',
  [
    ({'focus': 1.5}, r'disparity 1.5; it must be in \[0, 1\]'),
    ({'focus': math.nan}, r'disparity nan; it must be in \[0, 1\]'),
    ({'focus': (1, 2, 3)}, 'a pixel'),
    ({'focus': (1.5, 2)}, 'a pixel'),
    ({'focus': (60, 2)}, 'outside the picture'),
    ({'aperture': 2}, r'in \[0, 1\]'),
    ({'radius': -1}, 'at least 0 and finite'),
    ({'radius': math.inf}, 'at least 0 and finite'),
    ({'radius': 3, 'aperture': 0.5}, 'give one of them'),
  ],
)
def test_other_lenses_are_refused(fields, words):
  with pytest.raises(ValueError, match=words):
    lens.lens(np.zeros((40, 60, 1), np.float32), **fields)
