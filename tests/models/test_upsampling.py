"""Bicubic enlargement with aligned corners, against the dense matrix it stands for."""

import jax
import numpy as np
import pytest

from depthjax.models import upsampling


def _matrix(n):
  """Keys' weights (a = -0.75) of n pixels in 2n, by the definition; the border repeats."""

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
  return out


@pytest.mark.parametrize('border', [0, 1, 2])
@pytest.mark.parametrize('h, w', [(5, 8), (2, 1), (16, 3)])
def test_it_is_the_product_with_both_matrices(h, w, border):
  x = np.random.default_rng(0).standard_normal((2, h, w, 3)).astype(np.float32)
  expected = np.einsum('bijc,hi,wj->bhwc', x, _matrix(h), _matrix(w))
  expected = np.pad(expected, ((0, 0), (border,) * 2, (border,) * 2, (0, 0)), 'edge')
  np.testing.assert_allclose(upsampling.doubled_cubic(x, border), expected, atol=1e-5)


@pytest.mark.parametrize('border', [0, 1, 2])
@pytest.mark.parametrize('h, w', [(5, 8), (2, 1), (16, 3)])
def test_its_derivative_is_the_product_with_the_transposed_matrices(h, w, border):
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, h, w, 3)).astype(np.float32)
  shape = (2, 2 * h + 2 * border, 2 * w + 2 * border, 3)
  g = rng.standard_normal(shape).astype(np.float32)
  a, b = (np.pad(_matrix(n), ((border,) * 2, (0, 0)), 'edge') for n in (h, w))
  (found,) = jax.vjp(lambda x: upsampling.doubled_cubic(x, border), x)[1](g)
  np.testing.assert_allclose(found, np.einsum('bhwc,hi,wj->bijc', g, a, b), atol=1e-5)


def test_compiled_made_again_and_in_half_precision_it_is_the_same():
  rng = np.random.default_rng(0)
  x, g = (rng.standard_normal((1, n, n, 2)).astype(np.float32) for n in (8, 18))
  plain = jax.vjp(lambda x: upsampling.doubled_cubic(x, 1), x)
  remade = jax.checkpoint(lambda x: upsampling.doubled_cubic(x, 1))
  half = jax.jit(lambda x, g: (remade(x), jax.vjp(remade, x)[1](g)[0]))
  found = half(x.astype('bfloat16'), g.astype('bfloat16'))
  for own, expected in zip(found, (plain[0], *plain[1](g)), strict=True):
    assert own.dtype == 'bfloat16'
    np.testing.assert_allclose(own.astype(np.float32), expected, atol=0.1)


def test_a_border_beyond_what_there_is_is_refused():
  with pytest.raises(ValueError, match='the border is 3 pixels; it can be 0, 1 or 2'):
    upsampling.doubled_cubic(np.zeros((1, 4, 4, 1), np.float32), 3)


def test_corners_are_kept():
  x = np.random.default_rng(1).random((1, 6, 7, 1)).astype(np.float32)
  y = np.asarray(upsampling.doubled_cubic(x))
  np.testing.assert_allclose(y[:, ::11, ::13], x[:, ::5, ::6], rtol=1e-6)
