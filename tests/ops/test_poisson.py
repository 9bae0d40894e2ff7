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


def _laplacian(h, w):
  """The sum of differences to the existing neighbours of each pixel, as a sparse matrix."""
  steps = [scipy.sparse.diags_array([-1.0, 1.0], offsets=[0, 1], shape=(n - 1, n)) for n in (w, h)]
  return scipy.sparse.kronsum(*(x.T @ x for x in steps))


@pytest.mark.parametrize('weight', [1e-4, 1e-2, 3.0])
@pytest.mark.parametrize('shape', [(24, 24), (17, 40)])
def test_fuse_equals_the_direct_solution(shape, weight):
  low, high = _maps(*shape)
  laplacian = _laplacian(*shape)
  matrix = laplacian + weight * scipy.sparse.eye_array(low.size)
  right = laplacian @ high.ravel().astype(np.float64) + weight * low.ravel()
  expected = scipy.sparse.linalg.spsolve(matrix.tocsc(), right).reshape(low.shape)
  result = _fuse(low, high, weight, align=False)
  np.testing.assert_allclose(result, expected, atol=2e-6)
  assert np.abs(expected - low).max() > 0.02


def test_weight_zero_takes_only_the_mean_from_low():
  low, high = _maps(20, 33)
  result = np.asarray(_fuse(low, high, 0, align=False))
  for axis in (0, 1):
    np.testing.assert_allclose(np.diff(result, axis=axis), np.diff(high, axis=axis), atol=1e-5)
  assert result.mean() == pytest.approx(low.mean(), abs=1e-5)


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
  np.testing.assert_allclose(_fuse(low, low, 1e-6), low, atol=1e-6)
  result = np.asarray(_fuse(low, high, 1e-6, align=False), np.float64)
  residual = _laplacian(300, 400) @ (result - high).ravel() + 1e-6 * (result - low).ravel()
  assert np.abs(residual).max() < 5e-6


def test_bad_input_is_an_error():
  low, high = _maps(8, 8)
  with pytest.raises(ValueError, match='must have one size'):
    poisson.fuse(low, high[1:])
  with pytest.raises(ValueError, match='weight is -1; it must be at least 0'):
    poisson.fuse(low, high, -1)
