"""The losses of layered refinement against sums over pixels."""

import jax
import numpy as np
import pytest
import scipy.ndimage

from depthjax.losses import layered

_RNG = np.random.default_rng(0)
_MAPS = _RNG.random((2, 2, 12, 17, 1)).astype(np.float32)
_VALID = (_RNG.random((2, 12, 17, 1)) < 0.8).astype(np.float32)


def _gradients(error, valid):
  """For one example [h w], pair by pair."""
  total = 0.0
  for k in range(4):
    e, v = error[:: 2**k, :: 2**k], valid[:: 2**k, :: 2**k]
    values, count = 0.0, 0
    for y, x in np.ndindex(e.shape):
      for other in ((y + 2, x), (y, x + 2)):
        if other[0] < e.shape[0] and other[1] < e.shape[1] and v[y, x] and v[other]:
          values, count = values + abs(e[y, x] - e[other]), count + 1
    total += values / max(count, 1)
  return total


def test_terms_are_weighted_means_over_valid_pixels_and_gradients_of_valid_pairs():
  prediction, target = _MAPS
  weight = _RNG.uniform(0.5, 2, prediction.shape).astype(np.float32)
  layer = jax.jit(layered.layer)(prediction, target, _VALID, weight, gradient=0.5)
  both = jax.jit(layered.composite)(prediction, target, _VALID, gradient=0.5)
  for i in range(2):
    error, valid = (prediction - target)[i, ..., 0], _VALID[i, ..., 0]
    gradients = 0.5 * _gradients(error, valid)
    w = (weight[i, ..., 0] * valid)[valid > 0]
    e = error[valid > 0]
    expected = np.average(abs(e), weights=w) + np.average(e**2, weights=w) + gradients
    np.testing.assert_allclose(layer[i], expected, rtol=1e-4)
    np.testing.assert_allclose(both[i], abs(e).mean() + gradients, rtol=1e-4)


def test_a_constant_error_has_no_gradient_and_unknown_targets_no_loss():
  ones = np.ones((1, 9, 9, 1), np.float32)
  np.testing.assert_allclose(layered.layer(ones, 0 * ones, ones, ones, gradient=7.0), 2)
  assert layered.layer(ones, 0 * ones, 0 * ones, ones, gradient=7.0) == 0
  assert layered.composite(ones, np.nan_to_num(ones), ones, gradient=7.0) == 0


@pytest.mark.parametrize('radius', [1, 3])
def test_the_band_has_the_pixels_near_the_border_of_the_mask(radius):
  mask = np.zeros((1, 14, 15, 1), np.float32)
  mask[0, 3:9, 4:], mask[0, 11, 2] = 1, 0.7
  inside = mask[0, ..., 0] > 0.5
  square = np.ones((2 * radius + 1,) * 2, bool)
  grown = scipy.ndimage.binary_dilation(inside, square)
  shrunk = scipy.ndimage.binary_erosion(inside, square, border_value=1)
  result = layered.band(mask, radius)[0, ..., 0]
  np.testing.assert_array_equal(result > 0, grown & ~shrunk)
