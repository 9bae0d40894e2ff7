"""Interpolation against dense matrices, NumPy and OpenCV."""

import functools

import cv2
import jax
import numpy as np
import pytest

from depthjax.models import upsampling


def _matrix(n, padding=0):
  """Keys' weights (a = -0.75) of n input pixels in 2n output pixels, edge-padded."""

  def kernel(d, a=-0.75):
    d = abs(d)
    if d < 1:
      return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0

  out = np.zeros((2 * n, n))
  for i in range(2 * n):
    at = i * (n - 1) / (2 * n - 1)
    for j in range(int(at) - 1, int(at) + 3):
      out[i, np.clip(j, 0, n - 1)] += kernel(at - j)
  return np.pad(out, ((padding, padding), (0, 0)), 'edge')


@pytest.mark.parametrize('padding', [0, 1, 2])
@pytest.mark.parametrize('h, w', [(5, 8), (2, 1), (16, 3)])
def test_result_and_gradient_are_products_with_the_matrices(h, w, padding):
  rng = np.random.default_rng(0)
  a, b = _matrix(h, padding), _matrix(w, padding)
  x = rng.standard_normal((2, h, w, 3)).astype(np.float32)
  g = rng.standard_normal((2, len(a), len(b), 3)).astype(np.float32)
  y, backward = jax.vjp(lambda x: upsampling.double_bicubic(x, padding), x)
  np.testing.assert_allclose(y, np.einsum('bijc,hi,wj->bhwc', x, a, b), atol=1e-5)
  np.testing.assert_allclose(backward(g)[0], np.einsum('bhwc,hi,wj->bijc', g, a, b), atol=1e-5)


def test_compiled_rematerialised_bfloat16_results_are_the_same():
  rng = np.random.default_rng(0)
  x, g = (rng.standard_normal((1, n, n, 2)).astype(np.float32) for n in (8, 18))
  y, backward = jax.vjp(lambda x: upsampling.double_bicubic(x, 1), x)
  remat = jax.checkpoint(lambda x: upsampling.double_bicubic(x, 1))
  both = jax.jit(lambda x, g: (remat(x), jax.vjp(remat, x)[1](g)[0]))
  results = both(x.astype('bfloat16'), g.astype('bfloat16'))
  for result, expected in zip(results, (y, *backward(g)), strict=True):
    assert result.dtype == 'bfloat16'
    np.testing.assert_allclose(result.astype(np.float32), expected, atol=0.1)


def test_padding_of_more_than_two_pixels_is_refused():
  with pytest.raises(ValueError, match='padding is 3; it must be 0, 1 or 2'):
    upsampling.double_bicubic(np.zeros((1, 4, 4, 1), np.float32), 3)


@pytest.mark.parametrize('platform', ['cpu', 'accelerator'])
@pytest.mark.parametrize('h, w, shape', [(19, 5, (37, 10)), (4, 1, (9, 3)), (6, 7, (6, 7))])
def test_bilinear_with_aligned_corners_is_linear_between_pixels(platform, h, w, shape):
  x = np.random.default_rng(0).standard_normal((2, h, w, 3)).astype(np.float32)
  rows, columns = (
    np.stack([np.interp(np.linspace(0, n - 1, m), np.arange(n), row) for row in np.eye(n)], 1)
    for n, m in zip((h, w), shape, strict=True)
  )
  matrices = functools.partial(upsampling._products, taps=upsampling._aligned)
  function = upsampling.bilinear if platform == 'cpu' else matrices
  result = jax.jit(function, static_argnums=1)(x, shape)
  np.testing.assert_allclose(result, np.einsum('bhwc,ih,jw->bijc', x, rows, columns), atol=1e-5)


@pytest.mark.parametrize('shape', [(10, 5), (3, 13), (4, 9)])
def test_bicubic_equals_opencv(shape):
  x = np.random.default_rng(0).standard_normal((4, 9, 3)).astype(np.float32)
  expected = cv2.resize(x, shape[::-1], interpolation=cv2.INTER_CUBIC)
  np.testing.assert_allclose(upsampling.bicubic(x[None], shape)[0], expected, atol=1e-5)
