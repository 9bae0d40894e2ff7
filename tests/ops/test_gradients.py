"""Sobel gradients against SciPy and on ramps."""

import numpy as np
import scipy.ndimage

from depthjax.ops import gradients


def test_sobel_equals_scipy_divided_by_eight():
  x = np.random.default_rng(0).random((2, 7, 9, 1)).astype(np.float32)
  dx, dy = gradients.sobel(x)
  for ours, axis in ((dx, 2), (dy, 1)):
    expected = np.stack([scipy.ndimage.sobel(y[..., 0], axis=axis - 1, mode='nearest') for y in x])
    np.testing.assert_allclose(ours[..., 0], expected / 8, atol=1e-6)


def test_gradient_of_a_ramp_is_its_slope():
  rows, columns = np.mgrid[:6, :8].astype(np.float32)
  inside = gradients.magnitude((3 * columns - 2 * rows)[None, ..., None])[0, 1:-1, 1:-1]
  np.testing.assert_allclose(inside, 5, rtol=1e-6)
  assert not gradients.magnitude(np.full((1, 4, 4, 1), 7.0)).any()
