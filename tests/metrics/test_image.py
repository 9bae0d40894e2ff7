"""Image metrics against scikit-image, and edge bands against SciPy."""

import functools

import jax
import numpy as np
import pytest
import scipy.ndimage
import skimage.metrics

from depthjax.metrics import image as metrics


def images(h=24):
  rng = np.random.default_rng(0)
  target = scipy.ndimage.gaussian_filter(rng.random((2, h, 30, 3)), (0, 1, 1, 0))
  prediction = np.clip(target + 0.1 * rng.standard_normal(target.shape), 0, 1)
  return prediction.astype(np.float32), target.astype(np.float32)


_HALF = np.broadcast_to(np.float32(np.arange(30) < 15)[:, None], (2, 24, 30, 1))


def test_psnr_and_ssim_equal_scikit_image():
  """The weights of SSIM apply to the centres of windows."""
  prediction, target = images()
  pairs = list(zip(target, prediction, strict=True))
  expected = [skimage.metrics.peak_signal_noise_ratio(*pair, data_range=1) for pair in pairs]
  np.testing.assert_allclose(metrics.psnr(prediction, target).value, expected, rtol=1e-5)
  options = {'channel_axis': -1, 'gaussian_weights': True, 'use_sample_covariance': False}
  similarity = functools.partial(
    skimage.metrics.structural_similarity, data_range=1, full=True, **options
  )
  expected, maps = zip(*(similarity(*pair) for pair in pairs), strict=True)
  np.testing.assert_allclose(jax.jit(metrics.ssim)(prediction, target).value, expected, atol=1e-5)
  expected = [x[5:-5, 5:15].mean() for x in maps]
  np.testing.assert_allclose(metrics.ssim(prediction, target, _HALF).value, expected, atol=1e-5)


@pytest.mark.parametrize('metric', [metrics.mae, metrics.psnr])
def test_mask_equals_crop(metric):
  prediction, target = images()
  expected = metric(prediction[:, :, :15], target[:, :, :15]).value
  np.testing.assert_allclose(metric(prediction, target, _HALF).value, expected, rtol=1e-5)


@pytest.mark.parametrize('metric', [metrics.mae, metrics.psnr, metrics.ssim])
def test_constant_weight_has_no_effect_and_zero_weight_is_that_of_the_example(metric):
  prediction, target = images()
  weight = np.full((2, 24, 30, 1), 0.3, np.float32)
  weight[1] = 0
  score, plain = metric(prediction, target, weight), metric(prediction, target)
  np.testing.assert_allclose(score.value[0], plain.value[0], rtol=1e-5)
  assert list(score.weight) == [1, 0] and list(plain.weight) == [1, 1]


def test_equal_images_score_best():
  _, target = images()
  np.testing.assert_allclose(metrics.psnr(target, target).value, 100, rtol=1e-6)
  np.testing.assert_allclose(metrics.ssim(target, target).value, 1, atol=1e-5)
  np.testing.assert_array_equal(metrics.mae(target, target).value, 0)


def test_values_above_one_are_clipped():
  prediction, target = images()
  beyond = np.where(target > 0.55, target + 5, target)
  clipped = np.minimum(beyond, 1)
  np.testing.assert_array_equal(
    metrics.psnr(prediction, beyond).value, metrics.psnr(prediction, clipped).value
  )
  np.testing.assert_array_equal(
    metrics.ssim(beyond, prediction).value, metrics.ssim(clipped, prediction).value
  )
  assert np.all(metrics.mae(beyond, target).value > 0.5)


def test_ssim_rejects_images_below_its_window():
  prediction, target = images(h=10)
  with pytest.raises(ValueError, match='at least 11 x 11'):
    metrics.ssim(prediction, target)


@pytest.mark.parametrize('radius', [0, 1, 2.5, 6])
def test_edge_band_equals_dilation_by_a_disc(radius):
  disparity = 0.04 * np.random.default_rng(0).random((2, 40, 44, 1), np.float32)
  disparity[0, 12:30, 15:] += 0.3
  disparity[1, 20:22, 20:21] += 0.3
  # A pixel belongs to a step if it differs from any direct neighbour.
  padded = np.pad(disparity[..., 0], ((0, 0), (1, 1), (1, 1)), mode='edge')
  around = padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]
  steps = np.abs(disparity[..., 0] - np.stack(around)).max(axis=0) > 0.05
  rows, columns = np.mgrid[-6:7, -6:7]
  disc = rows**2 + columns**2 <= radius**2
  expected = np.stack([scipy.ndimage.binary_dilation(step, disc) for step in steps])
  band = jax.jit(functools.partial(metrics.edge_band, radius=radius))(disparity)
  np.testing.assert_array_equal(band[..., 0], expected.astype(np.float32))


def test_smooth_slope_has_no_edge_band():
  rows, columns = np.mgrid[:30, :44].astype(np.float32)
  slope = (0.02 * rows + 0.02 * columns)[None, ..., None]
  assert not np.any(metrics.edge_band(slope, radius=3))
  assert np.all(metrics.edge_band(slope, radius=3, threshold=0.01))
