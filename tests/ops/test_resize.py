"""Resampling against scikit-image and SciPy."""

import jax
import numpy as np
import pytest
import scipy.ndimage
import skimage.transform

from depthjax.ops import resize


def noise(*shape):
  return np.random.default_rng(0).random(shape).astype(np.float32)


def test_downsample_is_the_mean_of_blocks():
  images = noise(2, 12, 18, 3)
  expected = skimage.transform.downscale_local_mean(images, (1, 3, 3, 1))
  np.testing.assert_allclose(resize.downsample(images, 3), expected, atol=1e-6)
  np.testing.assert_allclose(resize.downsample(images[0], 3), expected[0], atol=1e-6)


@pytest.mark.parametrize('factor', [0, 4, 5, 7])
def test_downsample_rejects_a_factor_that_does_not_divide(factor):
  with pytest.raises(ValueError, match='does not divide'):
    resize.downsample(noise(12, 18, 3), factor)


@pytest.mark.parametrize('shape', [(14, 20), (21, 35), (7, 11)])
def test_upsample_has_pixel_centres_at_half_integers(shape):
  image = noise(7, 10, 3)
  zoom = (shape[0] / 7, shape[1] / 10, 1)
  expected = scipy.ndimage.zoom(image, zoom, order=1, mode='nearest', grid_mode=True)
  np.testing.assert_allclose(resize.upsample(image, shape), expected, atol=1e-5)


def test_upsample_keeps_leading_axes_and_constants():
  images = np.stack([noise(6, 5, 1), np.full((6, 5, 1), 0.7, np.float32)])
  larger = resize.upsample(images[None], (13, 9))
  assert larger.shape == (1, 2, 13, 9, 1)
  np.testing.assert_allclose(larger[0, 0], resize.upsample(images[0], (13, 9)), atol=1e-6)
  np.testing.assert_allclose(larger[0, 1], 0.7, atol=1e-6)


def test_upsample_rejects_shrinking():
  with pytest.raises(ValueError, match='smaller'):
    resize.upsample(noise(6, 5, 1), (6, 4))


def test_upsample_needs_no_gather():
  upsample = jax.jit(lambda x: resize.upsample(x, (24, 20)))
  assert 'gather' not in upsample.lower(noise(2, 6, 5, 3)).as_text()
