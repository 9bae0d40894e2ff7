"""From raw values to disparity: polarity, holes, range and size."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from depthjax.files.depth import fill, normalise, read_depth, read_raw, write_depth
from tests.messages import refused

H, W = 24, 36
DATA = Path(__file__).parents[3] / 'shared' / 'data'


def test_png_of_16_bits_is_exact_and_normalising_it_changes_nothing(tmp_path):
  levels = np.random.default_rng(1).permutation(65536)[: H * W].reshape(H, W)
  levels[0, :2] = 0, 65535
  write_depth(tmp_path / 'a.png', (levels / 65535).astype(np.float32))
  np.testing.assert_array_equal(read_raw(tmp_path / 'a.png'), levels)
  depth = read_depth(tmp_path / 'a.png')
  write_depth(tmp_path / 'b.png', depth.disparity)
  np.testing.assert_array_equal(read_raw(tmp_path / 'b.png'), levels)


def test_disparity_keeps_its_order_and_depth_is_inverted(disparity):
  raw = 5 * disparity - 2
  depth = normalise(raw)
  assert depth.disparity.shape == (H, W, 1) and depth.disparity.dtype == np.float32
  assert depth.valid.all() and not depth.resized
  np.testing.assert_allclose(depth.disparity[..., 0], disparity, atol=1e-6)
  metres = 1 / (0.2 + disparity)
  depth = normalise(metres, convention='depth')
  np.testing.assert_allclose(depth.disparity[..., 0], disparity, atol=1e-5)
  np.testing.assert_array_equal(depth.raw, metres)


def test_invalid_pixels_are_filled_and_do_not_count_in_the_range(disparity):
  raw = (1 + disparity).astype(np.float32)
  raw[2, 3:6] = np.nan, np.inf, 0
  filled = normalise(raw, invalid=0)
  assert not filled.valid[2, 3:6].any() and filled.valid.sum() == H * W - 3
  np.testing.assert_allclose(
    filled.disparity[..., 0][filled.valid], disparity[filled.valid], atol=1e-6
  )
  # Without the option 0 is a disparity like any other, the farthest.
  assert normalise(raw).disparity[2, 5, 0] == 0
  depth = normalise(np.where(raw == 0, -1, raw), convention='depth')
  assert not depth.valid[2, 3:6].any() and depth.valid.sum() == H * W - 3
  assert np.isfinite(depth.disparity).all()
  tiny = raw.copy()
  tiny[2, 5] = 1e-45  # has no finite inverse
  assert not normalise(tiny, convention='depth').valid[2, 5]


def test_fill_takes_the_nearest_valid_pixel():
  rng = np.random.default_rng(3)
  valid = rng.random((40, 60)) < 0.02
  values = np.where(valid, np.arange(valid.size).reshape(valid.shape), -1).astype(np.float32)
  filled = fill(values, valid)
  np.testing.assert_array_equal(filled[valid], values[valid])
  source = np.stack(np.unravel_index(filled.astype(int), valid.shape), -1)
  pixel = np.stack(np.indices(valid.shape), -1)
  distance = np.linalg.norm(source - pixel, axis=-1)
  nearest = ndimage.distance_transform_edt(~valid)
  assert valid[tuple(source.reshape(-1, 2).T)].all()
  assert (distance <= nearest * 1.05 + 1e-6).all() and (distance >= nearest - 1e-6).all()


@pytest.mark.parametrize('scale', [0.5, 2])
def test_a_map_of_the_same_aspect_ratio_is_resized_and_says_so(scale):
  h, w = int(H * scale), int(W * scale)
  x = lambda n: (np.arange(n) + 0.5) / n  # noqa: E731
  ramp = np.broadcast_to(x(W), (H, W)).astype(np.float32)
  depth = normalise(ramp, shape=(h, w))
  assert depth.resized and depth.disparity.shape == (h, w, 1) and depth.raw.shape == (H, W)
  assert depth.disparity.min() == 0 and depth.disparity.max() == 1
  # Half-pixel centres: the ramp stays where it was (but at the rim, where there is nothing beyond).
  inner = depth.disparity[h // 2, 2:-2, 0]
  slope = np.diff(inner)
  np.testing.assert_allclose(slope, slope.mean(), rtol=1e-3)
  np.testing.assert_allclose(depth.disparity[..., 0], 1 - depth.disparity[:, ::-1, 0], atol=1e-5)
  assert not normalise(ramp, shape=(H, W)).resized


def test_two_percent_of_aspect_ratio_are_allowed(disparity):
  assert normalise(disparity, shape=(200, 305)).resized
  call = lambda: normalise(disparity, shape=(200, 308), name='d.png')  # noqa: E731
  refused(call, 'd.png: is 36 x 24', 'photo is 308 x 200', 'within 2 %')


def test_a_turned_map_is_recognised(disparity):
  call = lambda: normalise(disparity, shape=(360, 240), name='d.png')  # noqa: E731
  refused(call, 'd.png: is 36 x 24', '240 x 360', 'turned by 90 degrees')


def test_maps_without_information_are_refused(tmp_path, disparity):
  path = tmp_path / 'a.npy'
  np.save(path, np.full((H, W), np.nan))
  refused(lambda: read_depth(path), path, f'no valid pixel of {H * W}', 'valid pixels')
  np.save(path, np.zeros((H, W)))
  refused(lambda: read_depth(path), path, 'is constant (0 everywhere)', 'values that vary')
  refused(lambda: read_depth(path, convention='depth'), path, 'no valid pixel')
  np.save(path, np.full((H, W), 1000) + 1e-4 * disparity)
  refused(lambda: read_depth(path), path, 'is constant (1000 everywhere)')
  refused(lambda: read_depth(path, convention='inverse'), path, "'inverse'", "'depth' (far is")


@pytest.mark.skipif(not DATA.is_dir(), reason=f'no real data at {DATA}')
def test_real_maps_are_read():
  moon = read_depth(DATA / 'pred_depth/3dphoto_moon/moon_depth.npy', shape=(2100, 2100))
  assert moon.resized and moon.raw.min() < 0 and moon.disparity.shape == (2100, 2100, 1)
  motorcycle = read_depth(DATA / 'stereo_gt/mb2014_motorcycle_q/disp.npz', shape=(500, 741))
  assert np.count_nonzero(~motorcycle.valid) == 27226 and not motorcycle.resized
  glass = DATA / 'tom/cleargrasp_real_d435/080-transparent-depth-img.exr'
  assert 0.5 < read_depth(glass, convention='depth', shape=(720, 1280)).valid.mean() < 1
  tsukuba = read_depth(DATA / 'stereo_gt/mb2001_tsukuba/disp2.png', invalid=0)
  assert not tsukuba.valid[:18].any() and tsukuba.valid[18:-18, 18:-18].any()
