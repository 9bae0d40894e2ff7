"""Painting, medians and virtual labels against NumPy."""

import jax
import numpy as np
import pytest

from depthjax.ops import painting

_RNG = np.random.default_rng(0)
_IMAGE = _RNG.random((2, 6, 5, 3), np.float32)
_TOM = np.float32(_RNG.random((2, 6, 5, 1)) < 0.4)


def _predict(image):
  """Depends on the other pixels of an image too, but not on other images."""
  return image[..., :1] - 2 * image[..., 1:2] + image.mean(axis=(1, 2, 3), keepdims=True)


def test_masked_pixels_take_the_colour_of_the_pass_and_others_keep_theirs():
  colours = _RNG.random((2, 4, 3), np.float32)
  result = np.asarray(painting.paint(_IMAGE, _TOM, colours))
  assert result.shape == (2, 4, 6, 5, 3)
  for b, n in np.ndindex(2, 4):
    inside = _TOM[b, ..., 0] > 0
    np.testing.assert_array_equal(result[b, n][inside], np.tile(colours[b, n], (inside.sum(), 1)))
    np.testing.assert_array_equal(result[b, n][~inside], _IMAGE[b][~inside])


@pytest.mark.parametrize('count', [1, 2, 3, 5, 8, 10])
def test_median_equals_numpy(count):
  outputs = _RNG.normal(size=(3, count, 17, 9, 1)).astype(np.float32)
  result = painting.median(outputs)
  np.testing.assert_allclose(result, np.median(outputs, axis=1), rtol=1e-6)
  equal = np.repeat(outputs[:, :1], count, axis=1)
  np.testing.assert_array_equal(painting.median(equal), outputs[:, 0])


def test_virtual_labels_are_medians_of_painted_predictions():
  colours = _RNG.random((2, 5, 3), np.float32)
  tom = _TOM.copy()
  tom[1] = 0
  result = jax.jit(painting.virtual, static_argnums=0)(_predict, _IMAGE, tom, colours)
  painted = np.where(tom[:, None] > 0, colours[:, :, None, None], _IMAGE[:, None])
  expected = np.median([_predict(painted[:, n]) for n in range(5)], axis=0)
  np.testing.assert_allclose(result, expected, atol=1e-6)
  # An empty mask is the image itself.
  one = jax.jit(painting.virtual, static_argnums=0)(_predict, _IMAGE, tom, colours[:, :1])
  np.testing.assert_array_equal(result[1], one[1])
