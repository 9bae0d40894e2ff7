"""Resizing against scikit-image and SciPy."""

import numpy as np
import pytest
import scipy.ndimage
import skimage.transform

from depthjax.ops import colour, resize
from tests.programs import primitives


def noise(*shape):
  return np.random.default_rng(0).random(shape).astype(np.float32)


def test_downsample_is_the_mean_of_blocks():
  images = noise(2, 12, 18, 3)
  expected = skimage.transform.downscale_local_mean(images, (1, 3, 3, 1))
  np.testing.assert_allclose(resize.downsample(images, 3), expected, atol=1e-6)
  np.testing.assert_allclose(resize.downsample(images[0], 3), expected[0], atol=1e-6)


@pytest.mark.parametrize('factor', [0, 4, 5, 7])
def test_downsample_rejects_a_factor_that_does_not_divide(factor):
  with pytest.raises(ValueError, match='it must divide'):
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


def test_upsample_rejects_a_smaller_shape():
  with pytest.raises(ValueError, match='it must be at least'):
    resize.upsample(noise(6, 5, 1), (6, 4))


def test_upsample_needs_no_gather():
  upsample = lambda x: resize.upsample(x, (24, 20))  # noqa: E731
  assert not primitives(upsample, noise(2, 6, 5, 3))['gather']


def test_photograph_is_resized_in_linear_light():
  """One bright column and three dark ones: the mean of light, not of sRGB values."""
  image = np.full((16, 32, 3), 0.2, np.float32)
  image[:, ::4] = 0.8
  small = np.asarray(resize.photograph(image, (4, 8)))
  assert small.shape == (4, 8, 3)
  mean = colour.linear_to_srgb(colour.srgb_to_linear(np.float32([0.8, 0.2, 0.2, 0.2])).mean())
  np.testing.assert_allclose(small[:, 1:-1], mean, atol=1e-3)
  assert mean > 0.05 + image.mean()


def test_photograph_of_the_same_size_is_unchanged():
  image = np.random.default_rng(0).random((2, 8, 16, 3), np.float32)
  np.testing.assert_array_equal(resize.photograph(image, (8, 16)), image)
  assert np.asarray(resize.photograph(image, (16, 32))).max() <= 1


@pytest.mark.parametrize('shape', [(4, 6), (24, 9), (8, 12)])
def test_resample_does_not_shift(shape):
  """A ramp stays the same ramp, except at its ends, for smaller and larger shapes."""
  ramp = np.broadcast_to((np.arange(12, dtype=np.float32)[:, None] + 0.5) / 12, (2, 8, 12, 1))
  result = np.asarray(resize.resample(ramp, shape))
  assert result.shape == (2, *shape, 1)
  expected = (np.arange(shape[1]) + 0.5) / shape[1]
  middle = slice(shape[1] // 4, -(shape[1] // 4))
  np.testing.assert_allclose(result[1, 0, middle, 0], expected[middle], atol=2e-3)
