"""Normalised disparity: range, constant maps, and networks that run at another size."""

import jax
import numpy as np
import pytest

from depthjax.ops import disparity

_X = np.random.default_rng(0).normal(size=(3, 5, 4, 1)).astype(np.float32)


def test_each_image_is_normalised_separately():
  scale, offset = np.float32([[1, 30, 0.01], [0, -200, 4]])[..., None, None, None]
  results = [np.asarray(disparity.normalise(x)) for x in (_X, scale * _X + offset)]
  np.testing.assert_allclose(results[0].min(axis=(1, 2, 3)), 0, atol=1e-6)
  np.testing.assert_allclose(results[0].max(axis=(1, 2, 3)), 1, atol=1e-5)
  np.testing.assert_allclose(results[1], results[0], atol=1e-3)
  one = np.asarray(disparity.normalise(_X[1]))
  np.testing.assert_array_equal(one, results[0][1])
  np.testing.assert_array_equal(np.argsort(one.ravel()), np.argsort(_X[1].ravel()))


@pytest.mark.parametrize('value', [0.0, 0.7, -3.0])
def test_constant_map_becomes_zero_with_finite_gradient(value):
  x = np.full((2, 3, 3, 1), value, np.float32)
  x[1, 0, 0] += 1
  x[0, 1, 1] = np.nextafter(np.float32(value), np.float32(10))  # Counts as constant.
  result = np.asarray(disparity.normalise(x))
  np.testing.assert_array_equal(result[0], 0)
  assert result[1].max() > 0.99
  grad = jax.grad(lambda x: (disparity.normalise(x) ** 2).sum())(x)
  assert np.isfinite(grad).all()


def test_predict_resizes_input_and_output():
  image = np.zeros((2, 48, 96, 3), np.float32)
  image[0, 12:30, 15:60] = image[1, :, :40] = 1
  seen = []

  def network(small):
    seen.append(small.shape)
    return small[..., :1] * np.float32([9, 5])[:, None, None, None] - 7

  result = np.asarray(disparity.predict(network, image, (16, 32)))
  assert seen == [(2, 16, 32, 3)] and result.shape == (2, 48, 96, 1)
  np.testing.assert_allclose(result.min(axis=(1, 2, 3)), 0, atol=1e-6)
  np.testing.assert_allclose(result.max(axis=(1, 2, 3)), 1, atol=1e-6)
  wrong = (result > 0.5) != image[..., :1]
  assert wrong.mean() < 0.06 and not wrong[0, :9].any() and not wrong[1, :, 44:].any()


def test_predict_is_zero_for_a_constant_network():
  image = np.random.default_rng(0).random((1, 57, 41, 3), np.float32)
  flat = disparity.predict(lambda small: 0 * small[..., :1] + 437.3, image, (8, 16))
  np.testing.assert_array_equal(flat, np.zeros((1, 57, 41, 1)))
