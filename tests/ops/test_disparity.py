"""Normalised disparity: what is kept, what is taken away, and maps without relief."""

import jax
import numpy as np
import pytest

from depthjax.ops import disparity

_X = np.random.default_rng(0).normal(size=(3, 5, 4, 1)).astype(np.float32)


def test_each_image_has_its_own_range():
  scale, offset = np.float32([1, 30, 0.01]), np.float32([0, -200, 4])
  shape = (3, 1, 1, 1)
  results = [
    np.asarray(disparity.normalise(x))
    for x in (_X, scale.reshape(shape) * _X + offset.reshape(shape))
  ]
  np.testing.assert_allclose(results[0].min(axis=(1, 2, 3)), 0, atol=1e-6)
  np.testing.assert_allclose(results[0].max(axis=(1, 2, 3)), 1, atol=1e-5)
  np.testing.assert_allclose(results[1], results[0], atol=1e-3)
  one = np.asarray(disparity.normalise(_X[1]))
  np.testing.assert_array_equal(one, results[0][1])
  np.testing.assert_array_equal(np.argsort(one.ravel()), np.argsort(_X[1].ravel()))


@pytest.mark.parametrize('value', [0.0, 0.7, -3.0])
def test_a_constant_map_is_zero_and_its_gradient_finite(value):
  x = np.full((2, 3, 3, 1), value, np.float32)
  x[1, 0, 0] += 1
  result = np.asarray(disparity.normalise(x))
  np.testing.assert_array_equal(result[0], 0)
  assert result[1].max() > 0.99
  grad = jax.grad(lambda x: (disparity.normalise(x) ** 2).sum())(x)
  assert np.isfinite(grad).all()


def test_what_rounding_leaves_of_a_constant_is_no_relief():
  x = np.full((1, 3, 3, 1), 0.7, np.float32)
  x[0, 1, 1] = np.nextafter(np.float32(0.7), np.float32(1))
  np.testing.assert_array_equal(disparity.normalise(x), 0)
