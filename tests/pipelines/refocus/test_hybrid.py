"""The hybrid renderer: learned near depth edges, classical elsewhere, smooth in between."""

import functools

import numpy as np
import pytest

from depthjax.ops import colour
from depthjax.pipelines.refocus import hybrid, refocus
from depthjax.pipelines.refocus import learned as learned_lib

_H, _W = 64, 160
_MIDDLE = _W // 2


def _step(size=0.5):
  disparity = np.full((_H, _W, 1), 0.2, np.float32)
  disparity[:, _MIDDLE:] += size
  return disparity


def _fraction(disparity, focus=0.2, radius=4.0, count=0):
  defocus = 2 * radius * (disparity - focus)
  return hybrid.near_edges(disparity, defocus, count, radius / 2**count)


def test_without_an_edge_the_fraction_is_zero():
  ramp = np.broadcast_to(np.linspace(0, 1, _W, dtype=np.float32)[:, None], (_H, _W, 1))
  for disparity in (ramp, _step(0.0), _step(0.03)):
    assert not _fraction(disparity).any()
  # The border of a frame that needs padding is no edge.
  padded = _fraction(np.ones((_H + 3, _W + 1, 1), np.float32), radius=8.0, count=1)
  assert padded.shape == (_H + 3, _W + 1, 1) and not padded.any()


@pytest.mark.parametrize('radius, blur', [(4.0, 4.0), (4.0, 2.0), (7.5, 7.5)])
@pytest.mark.parametrize('focus', [min, max])
def test_the_fraction_is_one_within_the_blur_radius_of_an_edge(radius, blur, focus):
  """On both sides of it, whichever of them is blurred."""
  disparity = _step(0.5 * blur / radius)
  fraction = _fraction(disparity, focus(disparity[0, 0, 0], disparity[0, -1, 0]), radius)
  assert fraction[:, _MIDDLE - int(blur) : _MIDDLE + int(blur)].min() == 1
  far = 2 * (int(np.ceil(blur)) + 1) + 2  # The edge itself is one pixel wide.
  assert fraction[:, : _MIDDLE - far].max() == fraction[:, _MIDDLE + far :].max() == 0


@pytest.mark.parametrize('count', [0, 2])
def test_the_fraction_is_smooth(count):
  """In the distance from the edge and in its height."""
  fraction = _fraction(_step(), radius=4.0 * 2**count, count=count)[_H // 2, :, 0]
  assert np.abs(np.diff(fraction)).max() < 0.35 / 2**count
  assert fraction.max() == 1 and fraction.min() == 0
  heights = [_fraction(_step(size))[_H // 2, _MIDDLE, 0] for size in np.linspace(0.02, 0.13, 24)]
  assert heights[0] == 0 and heights[-1] == 1
  assert np.all(np.diff(heights) >= 0) and np.diff(heights).max() < 0.15


def test_pictures_are_mixed_in_linear_light():
  black, white = np.zeros((2, 2, 3), np.float32), np.ones((2, 2, 3), np.float32)
  quarter = np.full((2, 2, 1), 0.25, np.float32)
  result = hybrid.mix(black, white, quarter)
  np.testing.assert_allclose(result, colour.linear_to_srgb(0.25 * white), atol=1e-6)
  np.testing.assert_allclose(hybrid.mix(white, black, quarter * 0), white, atol=1e-6)


@pytest.mark.parametrize('focus, behind, front', [(0.7, 0.25, 0), (0.2, 0, 1), (0.45, 0, 1)])
def test_the_fraction_behind_a_sharp_foreground_is_a_quarter(focus, behind, front):
  disparity = _step()
  fraction = hybrid.fraction(disparity, 8 * (disparity - focus), focus, 0, 4.0)
  np.testing.assert_allclose(fraction[:, _MIDDLE - 2 : _MIDDLE + 2], behind or front, atol=1e-6)


def test_each_renderer_is_used_at_its_pixels(monkeypatch):
  """The learned renderer is a stub that returns white."""
  monkeypatch.setattr(learned_lib, 'render', lambda *_, **__: np.ones((_H, _W, 3), np.float32))
  photo = np.random.default_rng(0).random((_H, _W, 3), np.float32)
  learned = refocus.Learned(None, None, 4)
  render = functools.partial(refocus.refocus, photo, focus=0.2, radius=6)
  disparity = _step()
  classical, both = render(disparity), render(disparity, learned=learned, hybrid=True)
  np.testing.assert_allclose(both[:, _MIDDLE - 3 : _MIDDLE + 3], 1, atol=1e-6)
  np.testing.assert_allclose(both[:, : _MIDDLE - 12], classical[:, : _MIDDLE - 12], atol=1e-6)
  flat = _step(0.03)
  np.testing.assert_array_equal(render(flat, learned=learned, hybrid=True), render(flat))
