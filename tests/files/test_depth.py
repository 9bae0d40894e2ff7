"""Depth maps from raw values to disparity: polarity, invalid pixels, range and size."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from depthjax.files.depth import fill, normalise, read_depth, read_raw, to_unit_range, write_depth
from tests.messages import refused

H, W = 24, 36
DATA = Path(__file__).parents[3] / 'shared' / 'data'


def test_16_bit_png_is_exact_and_normalisation_does_not_change_it(tmp_path):
  levels = np.random.default_rng(1).permutation(65536)[: H * W].reshape(H, W)
  levels[0, :2] = 0, 65535
  write_depth(tmp_path / 'a.png', (levels / 65535).astype(np.float32))
  np.testing.assert_array_equal(read_raw(tmp_path / 'a.png'), levels)
  write_depth(tmp_path / 'b.png', read_depth(tmp_path / 'a.png').disparity)
  np.testing.assert_array_equal(read_raw(tmp_path / 'b.png'), levels)


def test_disparity_is_scaled_and_depth_is_inverted(disparity):
  depth = normalise(5 * disparity - 2)
  assert depth.disparity.shape == (H, W, 1) and depth.disparity.dtype == np.float32
  assert depth.valid.all() and not depth.resized
  np.testing.assert_allclose(depth.disparity[..., 0], disparity, atol=1e-6)
  metres = 1 / (0.2 + disparity)
  depth = normalise(metres, convention='depth')
  np.testing.assert_allclose(depth.disparity[..., 0], disparity, atol=1e-5)
  np.testing.assert_array_equal(depth.raw, metres)


def test_constant_maps_become_zeros_and_large_offsets_keep_their_digits(disparity):
  assert not to_unit_range(np.full((2, 2), 3.0)).any()
  assert not to_unit_range(1000 + 1e-4 * disparity.astype(np.float64)).any()
  far = 1e4 + disparity.astype(np.float64)
  np.testing.assert_allclose(to_unit_range(far), disparity, atol=1e-6)


def test_invalid_pixels_are_filled_and_not_counted_in_the_range(disparity):
  raw = (1 + disparity).astype(np.float32)
  raw[2, 3:6] = np.nan, np.inf, 0
  filled, _, valid = normalise(raw, invalid=0)[:3]
  assert not valid[2, 3:6].any() and valid.sum() == H * W - 3
  np.testing.assert_allclose(filled[valid, 0], disparity[valid], atol=1e-6)
  # Without `invalid` 0 is the farthest.
  assert normalise(raw, percentiles=(0, 100)).disparity[2, 5, 0] == 0
  assert normalise(raw, invalid=(0, raw[0, 0])).valid.sum() == H * W - 4
  raw[2, 5] = 1e-45  # has no finite inverse
  raw[2, 6] = -1
  depth = normalise(raw, convention='depth')
  assert not depth.valid[2, [3, 5, 6]].any() and depth.valid.sum() == H * W - 3
  assert np.isfinite(depth.disparity).all()


def test_fill_takes_the_nearest_valid_pixel():
  rng = np.random.default_rng(3)
  valid = rng.random((40, 60)) < 0.02
  values = np.where(valid, np.arange(valid.size).reshape(valid.shape), -1).astype(np.float32)
  filled = fill(values, valid)
  np.testing.assert_array_equal(filled[valid], values[valid])
  source = np.stack(np.unravel_index(filled.astype(int), valid.shape), -1)
  distance = np.linalg.norm(source - np.stack(np.indices(valid.shape), -1), axis=-1)
  nearest = ndimage.distance_transform_edt(~valid)
  assert valid[tuple(source.reshape(-1, 2).T)].all()
  assert (distance <= nearest * 1.05 + 1e-6).all() and (distance >= nearest - 1e-6).all()


@pytest.mark.parametrize('scale', [0.5, 2])
def test_maps_of_the_same_aspect_ratio_are_resized(scale):
  h, w = int(H * scale), int(W * scale)
  ramp = np.broadcast_to((np.arange(W) + 0.5) / W, (H, W)).astype(np.float32)
  depth = normalise(ramp, shape=(h, w))
  assert depth.resized and depth.disparity.shape == (h, w, 1) and depth.raw.shape == (H, W)
  assert depth.disparity.min() == 0 and depth.disparity.max() == 1
  # Half-pixel centres: the slope is constant except at the border, and the ramp is symmetric.
  slope = np.diff(depth.disparity[h // 2, 2:-2, 0])
  np.testing.assert_allclose(slope, slope.mean(), rtol=1e-3)
  np.testing.assert_allclose(depth.disparity[..., 0], 1 - depth.disparity[:, ::-1, 0], atol=1e-5)
  assert not normalise(ramp, shape=(H, W)).resized


def test_another_aspect_ratio_is_refused(disparity):
  assert normalise(disparity, shape=(200, 305)).resized
  call = lambda *shape: lambda: normalise(disparity, shape=shape, name='d.png')  # noqa: E731
  refused(call(200, 308), 'd.png: is 36 x 24', 'photo is 308 x 200', 'within 2 %')
  refused(call(360, 240), 'd.png: is 36 x 24', '240 x 360', 'turned by 90 degrees')
  fields = {'shape': (24, 24), 'name': 'd.png'}
  refused(lambda: normalise(disparity, stretch=False, **fields), 'within 2 %, or --stretch')
  stretched = normalise(disparity, stretch=True, **fields)
  assert stretched.resized and stretched.disparity.shape == (24, 24, 1)


@pytest.mark.parametrize(
  'value, convention, wrong',
  [
    (np.nan, 'disparity', f'no valid pixel of {H * W}'),
    (-1, 'depth', 'no valid pixel'),
    (1000, 'disparity', 'is constant (1000 everywhere)'),
    (1, 'inverse', "'inverse'"),
  ],
)
def test_maps_without_information_are_refused(tmp_path, value, convention, wrong):
  path = tmp_path / 'a.npy'
  np.save(path, np.full((H, W), value, np.float32))
  refused(lambda: read_depth(path, convention=convention), path, wrong)


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
