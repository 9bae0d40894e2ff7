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


@pytest.mark.parametrize('factor', [0, 4, 5])
def test_downsample_rejects_a_factor_that_does_not_divide(factor):
  with pytest.raises(ValueError, match='it must divide'):
    resize.downsample(noise(12, 18, 3), factor)


@pytest.mark.parametrize('shape', [(14, 20), (21, 35), (7, 11)])
def test_upsample_has_pixel_centres_at_half_integers_and_no_gather(shape):
  images = noise(1, 2, 7, 10, 3)
  zoom = (1, 1, shape[0] / 7, shape[1] / 10, 1)
  expected = scipy.ndimage.zoom(images, zoom, order=1, mode='nearest', grid_mode=True)
  np.testing.assert_allclose(resize.upsample(images, shape), expected, atol=1e-5)
  assert not primitives(lambda x: resize.upsample(x, shape), images)['gather']


def test_upsample_rejects_a_smaller_shape():
  with pytest.raises(ValueError, match='it must be at least'):
    resize.upsample(noise(6, 5, 1), (6, 4))


def test_photograph_is_resized_in_linear_light():
  """One bright column and three dark ones: the mean of light, not of sRGB values."""
  image = np.full((16, 32, 3), 0.2, np.float32)
  image[:, ::4] = 0.8
  small = np.asarray(resize.photograph(image, (4, 8)))
  mean = colour.linear_to_srgb(colour.srgb_to_linear(np.float32([0.8, 0.2, 0.2, 0.2])).mean())
  np.testing.assert_allclose(small[:, 1:-1], np.full((4, 6, 3), mean), atol=1e-3)
  assert mean > 0.05 + image.mean()
  assert resize.photograph(image, (16, 32)) is image


@pytest.mark.parametrize('shape', [(4, 6), (24, 9), (8, 12)])
def test_resample_does_not_shift(shape):
  """A ramp stays the same ramp, except at its ends, for smaller and larger shapes."""
  ramp = np.broadcast_to((np.arange(12, dtype=np.float32)[:, None] + 0.5) / 12, (2, 8, 12, 1))
  result = np.asarray(resize.resample(ramp, shape))
  assert result.shape == (2, *shape, 1)
  middle = slice(shape[1] // 4, -(shape[1] // 4))
  expected = (np.arange(shape[1]) + 0.5) / shape[1]
  np.testing.assert_allclose(result[1, 0, middle, 0], expected[middle], atol=2e-3)


@pytest.mark.parametrize('shape, size', [((300, 400), (192, 256)), ((3, 400), (32, 256))])
def test_frame_keeps_the_aspect_ratio_in_multiples(shape, size):
  assert resize.frame(shape, 250, 32) == size
