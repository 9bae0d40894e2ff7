"""Alignment by least squares."""

import numpy as np

from depthjax.ops import alignment

_RNG = np.random.default_rng(0)


def test_scale_and_offset_are_those_of_polyfit():
  x, y = _RNG.random((2, 3, 8, 9, 1)).astype(np.float32) + 5
  weights = (_RNG.random(x.shape) > 0.5).astype(np.float32)
  scale, offset = alignment.fit(x, y, weights)
  for i in range(3):
    kept = weights[i] > 0
    expected = np.polyfit(x[i][kept], y[i][kept], 1)
    np.testing.assert_allclose([scale[i].item(), offset[i].item()], expected, rtol=2e-3)


def test_what_does_not_count_may_be_anything():
  x, y = _RNG.random((2, 1, 4, 4, 1)).astype(np.float32)
  y = 3 * x - 1
  weights = np.ones_like(x)
  weights[0, 0], x[0, 0, 0], y[0, 0, 1] = 0, np.nan, np.inf
  scale, offset = alignment.fit(x, y, weights)
  np.testing.assert_allclose([scale.item(), offset.item()], [3, -1], rtol=1e-4)


def test_a_constant_gets_the_mean_and_no_pixel_gets_nothing():
  y = _RNG.random((1, 4, 4, 1)).astype(np.float32)
  np.testing.assert_allclose(alignment.align(np.full_like(y, 0.3), y), y.mean(), rtol=1e-6)
  scale, offset = alignment.fit(y, y, np.zeros_like(y))
  assert scale.item() == 0 and offset.item() == 0
