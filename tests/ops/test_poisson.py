"""Poisson fusion against a sparse direct solver of SciPy."""

import jax
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

from depthjax.ops import poisson

_fuse = jax.jit(poisson.fuse, static_argnames=('weight', 'align'))


def _maps(h, w, seed=0):
  """A smooth map, and one with a step and a gradual error of its values."""
  rng = np.random.default_rng(seed)
  rows, columns = np.mgrid[:h, :w] / max(h, w)
  low = 0.5 + 0.3 * np.sin(3 * columns) + 0.1 * rows
  high = (columns > 0.4) * 0.5 + 0.4 * np.cos(5 * rows) + 0.05 * rng.random((h, w))
  return low[..., None].astype(np.float32), high[..., None].astype(np.float32)


def _solved(low, high, weight):
  """The minimum by the normal equations, [h w] in float64."""
  h, w = low.shape
  index = np.arange(h * w).reshape(h, w)
  pairs = [(index[1:], index[:-1]), (index[:, 1:], index[:, :-1])]
  a, b = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
  rows = np.arange(len(a))
  gradient = scipy.sparse.csr_array(
    (np.repeat([1.0, -1.0], len(a)), (np.tile(rows, 2), np.concatenate([a, b]))),
    shape=(len(a), h * w),
  )
  matrix = gradient.T @ gradient + weight * scipy.sparse.eye_array(h * w)
  right = gradient.T @ (gradient @ high.ravel()) + weight * low.ravel()
  return scipy.sparse.linalg.spsolve(matrix.tocsc(), right).reshape(h, w)


@pytest.mark.parametrize('weight', [1e-4, 1e-2, 3.0])
@pytest.mark.parametrize('shape', [(24, 24), (17, 40)])
def test_fuse_equals_the_direct_solution(shape, weight):
  low, high = _maps(*shape)
  expected = _solved(*(x[..., 0].astype(np.float64) for x in (low, high)), weight)
  result = _fuse(low, high, weight, align=False)
  np.testing.assert_allclose(result[..., 0], expected, atol=2e-6)
  assert np.abs(expected - low[..., 0]).max() > 0.02


def test_weight_zero_takes_only_the_mean_from_low():
  low, high = _maps(20, 33)
  result = np.asarray(_fuse(low, high, 0, align=False))
  np.testing.assert_allclose(np.diff(result, axis=1), np.diff(high, axis=1), atol=1e-5)
  np.testing.assert_allclose(np.diff(result, axis=0), np.diff(high, axis=0), atol=1e-5)
  assert result.mean() == pytest.approx(low.mean(), abs=1e-5)


def test_large_weight_gives_the_low_map():
  low, high = _maps(20, 33)
  np.testing.assert_allclose(_fuse(low, high, 1e6, align=False), low, atol=1e-4)


def test_high_map_is_aligned_first():
  """The result does not depend on its scale and shift, nor on the rest of the batch."""
  low, high = _maps(16, 24)
  pairs = [(low, high), (low, 30 - 7 * high), _maps(16, 24, seed=1)]
  lows, highs = (np.stack(x) for x in zip(*pairs, strict=True))
  results = np.asarray(_fuse(lows, highs, 1e-2))
  np.testing.assert_allclose(results[0], results[1], atol=1e-5)
  for result, pair in zip(results, pairs, strict=True):
    np.testing.assert_allclose(result, _fuse(*pair, 1e-2), atol=1e-6)
  np.testing.assert_allclose(_fuse(low, 5 * low + 2), low, atol=1e-6)


def test_float32_is_enough_for_a_photograph():
  """Equal maps are returned unchanged except for rounding."""
  low, high = _maps(300, 400)
  result = np.asarray(_fuse(low, high, 1e-6, align=False), np.float64)
  stiff = np.asarray(_fuse(low, low, 1e-6))
  np.testing.assert_allclose(stiff, low, atol=1e-6)
  residual = _laplacian(result - high)[..., 0] + 1e-6 * (result - low)[..., 0]
  assert np.abs(residual).max() < 5e-6


def _laplacian(x):
  """Minus the sum of differences to the existing neighbours."""
  padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode='edge')
  around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
  return 4 * x - around


def test_bad_input_is_an_error():
  low, high = _maps(8, 8)
  with pytest.raises(ValueError, match='must have one size'):
    poisson.fuse(low, high[1:])
  with pytest.raises(ValueError, match='weight is -1; it must be at least 0'):
    poisson.fuse(low, high, -1)
