"""Least-squares alignment against NumPy, weights, and constant maps."""

import jax
import numpy as np

from depthjax.ops import alignment


def _maps(offset=0.0):
  rng = np.random.default_rng(0)
  x = rng.random((3, 12, 9, 1)).astype(np.float32)
  y = 2 - 3 * x + rng.random(x.shape).astype(np.float32)
  return x + np.float32(offset), y, (rng.random(x.shape) < 0.6).astype(np.float32)


def test_fit_equals_numpy_least_squares():
  for offset in (0, 100):
    x, y, valid = _maps(offset)
    for weight in (None, valid):
      scale, shift = jax.jit(alignment.fit)(x, y, weight)
      assert scale.shape == shift.shape == (3, 1, 1, 1)
      for i in range(3):
        kept = np.ones(x[i].shape, bool) if weight is None else weight[i] > 0
        expected = np.polyfit(x[i][kept].astype(np.float64), y[i][kept], 1)
        np.testing.assert_allclose([scale[i, 0, 0, 0], shift[i, 0, 0, 0]], expected, rtol=2e-3)


def test_weights_equal_repeated_pixels():
  x, y, valid = _maps()
  doubled = [np.concatenate([a, np.where(valid > 0, a, np.nan)], axis=1) for a in (x, y)]
  weight = np.concatenate([np.ones_like(x), valid], axis=1)
  expected = alignment.fit(x, y, 1 + valid)
  for value, other in zip(alignment.fit(*doubled, weight), expected, strict=True):
    np.testing.assert_allclose(value, other, rtol=1e-4)


def test_constant_map_becomes_the_mean_and_no_weight_gives_zero():
  x, y, valid = _maps()
  for value in (5, -5):
    assert not alignment.fit(np.where(valid > 0, value, x), y, valid)[0].any()
  mean = np.broadcast_to(y.mean(axis=(1, 2, 3), keepdims=True), y.shape)
  for value in (0, *np.linspace(0.1, 0.9, 7), -1e6):
    assert not alignment.fit(np.full_like(y, value), y)[0].any()
    np.testing.assert_allclose(alignment.align(np.full_like(y, value), y), mean, atol=1e-5)
  scale, shift = alignment.fit(y, y, 0 * y)
  assert not scale.any() and not shift.any()
  for value in (0, 0.1):
    gradient = jax.grad(lambda x: alignment.align(x, y).sum())(np.full_like(y, value))
    assert np.isfinite(gradient).all()


def test_nan_is_ignored_where_the_weight_is_zero():
  x, y, valid = _maps()
  x[1, 0, 0] = np.nan
  valid[1, 0, 0] = 0
  assert np.isfinite(alignment.align(x, y, valid)).all()
  valid[1, 0, 0] = 1
  found = np.isnan(alignment.align(x, y, valid)).all(axis=(1, 2, 3))
  assert list(found) == [False, True, False]
