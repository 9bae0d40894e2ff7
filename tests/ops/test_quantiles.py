"""Quantiles without sorting, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.ops import quantiles
from tests.programs import primitives

_LEVELS = (0.0, 0.02, 0.25, 0.5, 0.95, 1.0)


def _maps(kind):
  rng = np.random.default_rng(0)
  shape = (3, 17, 23, 2)
  maps = {
    'normal': rng.standard_normal(shape),
    'ties': np.round(rng.standard_normal(shape), 1),
    'signs of zero': np.where(rng.random(shape) < 0.5, -0.0, 0.0),
    'constant': np.full(shape, -2.5),
    'huge and tiny': rng.standard_normal(shape) * 10.0 ** rng.integers(-30, 37, shape),
  }
  return maps[kind].astype(np.float32)


@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('kind', ['normal', 'ties', 'signs of zero', 'constant', 'huge and tiny'])
def test_equals_numpy(kind, masked):
  x = _maps(kind)
  kept = np.random.default_rng(1).random(x.shape) < (0.3 if masked else 2)
  found = jax.jit(quantiles.quantile)(x, np.array(_LEVELS), kept if masked else None)
  assert found.shape == (len(_LEVELS), len(x), 1, 1, 1)
  for i, one in enumerate(x):
    expected = np.quantile(one[kept[i]].astype(np.float64), _LEVELS)
    values = np.sort(one[kept[i]])
    # The position between two values is rounded, relative to their distance.
    places = np.array(_LEVELS) * (len(values) - 1)
    gaps = values[np.ceil(places).astype(int)] - values[np.floor(places).astype(int)]
    error = np.abs(np.asarray(found)[:, i, 0, 0, 0] - expected)
    assert (error <= 1e-4 * gaps + 1e-6 * np.abs(expected)).all()


def test_median_of_odd_count_is_a_value():
  x = _maps('normal')[:, :, :, :1]
  found = quantiles.quantile(x, 0.5)
  assert found.shape == (3, 1, 1, 1)
  np.testing.assert_array_equal(np.ravel(found), np.median(x, (1, 2, 3)))


def test_one_value_and_empty_mask():
  x = _maps('normal')
  kept = np.zeros(x.shape, bool)
  kept[1, 3, 4, 0] = kept[2, 0, 0, 0] = kept[2, 0, 0, 1] = True
  found = np.ravel(quantiles.quantile(x, 0.75, kept))
  assert np.isnan(found[0])
  assert found[1] == x[1, 3, 4, 0]
  np.testing.assert_allclose(found[2], np.quantile(x[2, 0, 0], 0.75), rtol=1e-6)


def test_masked_values_are_ignored():
  x = _maps('normal')
  kept = np.random.default_rng(1).random(x.shape) < 0.5
  other = np.where(kept, x, np.nan)
  np.testing.assert_array_equal(*(quantiles.quantile(z, 0.3, kept) for z in (x, other)))


def test_infinity_is_the_largest_value_and_nan_gives_nan():
  x = np.array([1, 2, np.inf, -np.inf, 5], np.float32).reshape(1, 5, 1, 1)
  assert np.ravel(quantiles.quantile(x, 0.5)) == 2
  assert np.ravel(quantiles.quantile(x, 1.0)) == np.inf
  x[0, 1] = np.nan
  assert np.isnan(quantiles.quantile(x, 0.5)).all()
  assert np.ravel(quantiles.quantile(x, 0.5, x == x)) == 3


@pytest.mark.parametrize('at', [0.3, (0.3, 0.9)])
def test_quantile_has_no_derivative(at):
  x = jnp.asarray(_maps('ties'))
  slope = jax.grad(lambda x: quantiles.quantile(x, at).sum() + x.sum())(x)
  np.testing.assert_array_equal(slope, 1)


def test_quantile_does_not_sort():
  assert not primitives(lambda x: quantiles.quantile(x, 0.5), _maps('normal'))['sort']
