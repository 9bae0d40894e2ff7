"""The hybrid: the classical renderer away from depth edges, the learned beside them, no seam."""

import functools

import numpy as np
import pytest

from depthjax.ops import colour
from depthjax.pipelines.refocus import hybrid, refocus
from depthjax.pipelines.refocus import learned as learned_lib

_H, _W = 64, 160


def _step(size=0.5, at=_W // 2):
  disparity = np.full((_H, _W, 1), 0.2, np.float32)
  disparity[:, at:] += size
  return disparity


def _share(disparity, focus=0.2, radius=4.0, count=0):
  defocus = 2 * radius * (disparity - focus)
  return hybrid.share(disparity, defocus, count, radius / 2**count)


def test_no_edge_no_share_of_the_learned():
  ramp = np.broadcast_to(np.linspace(0, 1, _W, dtype=np.float32)[:, None], (_H, _W, 1))
  for disparity in (ramp, _step(0.0), _step(0.03)):
    assert not _share(disparity).any()


@pytest.mark.parametrize('radius, blur', [(4.0, 4.0), (4.0, 2.0), (7.5, 7.5)])
@pytest.mark.parametrize('focus', ['near', 'far'])
def test_the_learned_has_the_reach_of_the_blur_and_the_classical_the_rest(radius, blur, focus):
  """Whichever side is blurred, both sides of the edge within the blur are the learned one's."""
  disparity = _step(0.5 * blur / radius)
  share = _share(disparity, disparity.min() if focus == 'far' else disparity.max(), radius)
  middle = _W // 2
  reach = int(blur)
  assert share[:, middle - reach : middle + reach].min() == 1
  far = 2 * (int(np.ceil(blur)) + 1) + 2  # One pixel more is the width of the edge itself.
  assert share[:, : middle - far].max() == share[:, middle + far :].max() == 0


@pytest.mark.parametrize('count', [0, 2])
def test_there_is_no_seam(count):
  """The share changes little from pixel to pixel, over the distance and over the edge's height."""
  share = _share(_step(), radius=4.0 * 2**count, count=count)[_H // 2, :, 0]
  assert np.abs(np.diff(share)).max() < 0.35 / 2**count
  assert share.max() == 1 and share.min() == 0
  heights = [_share(_step(size))[_H // 2, _W // 2, 0] for size in np.linspace(0.02, 0.13, 24)]
  assert heights[0] == 0 and heights[-1] == 1
  assert np.all(np.diff(heights) >= 0) and np.diff(heights).max() < 0.15


def test_a_border_of_the_frame_is_no_edge():
  share = _share(np.ones((_H + 3, _W + 1, 1), np.float32), radius=8.0, count=1)
  assert share.shape == (_H + 3, _W + 1, 1) and not share.any()


def test_pictures_are_mixed_in_linear_light():
  black, white = np.zeros((2, 2, 3), np.float32), np.ones((2, 2, 3), np.float32)
  quarter = np.full((2, 2, 1), 0.25, np.float32)
  result = hybrid.mix(black, white, quarter)
  np.testing.assert_allclose(result, colour.linear_to_srgb(0.25 * white), atol=1e-6)
  np.testing.assert_allclose(hybrid.mix(white, black, quarter * 0), white, atol=1e-6)


def test_the_photograph_is_each_renderer_where_its_share_is(monkeypatch):
  """With a learned renderer that paints all white."""
  monkeypatch.setattr(learned_lib, 'render', lambda *_: np.ones((_H, _W, 3), np.float32))
  photo = np.random.default_rng(0).random((_H, _W, 3), np.float32)
  learned = refocus.Learned(None, None, 4)
  render = functools.partial(refocus.refocus, photo, focus=0.2, radius=6)
  disparity = _step()
  classical, both = render(disparity), render(disparity, learned=learned, hybrid=True)
  middle = _W // 2
  np.testing.assert_allclose(both[:, middle - 3 : middle + 3], 1, atol=1e-6)
  np.testing.assert_allclose(both[:, : middle - 12], classical[:, : middle - 12], atol=1e-6)
  flat = _step(0.03)
  np.testing.assert_array_equal(render(flat, learned=learned, hybrid=True), render(flat))
