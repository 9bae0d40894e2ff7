"""Quantiles without sorting, against NumPy."""

import jax
import numpy as np
import pytest

from depthjax.ops import quantiles
from tests.programs import primitives

_LEVELS = (0.0, 0.02, 0.25, 0.5, 0.95, 1.0)
_RNG = np.random.default_rng(0)
_SHAPE = (3, 17, 23, 2)
_X = _RNG.standard_normal(_SHAPE).astype(np.float32)
_MAPS = {
  'normal': _X,
  'ties': np.round(_X, 1),
  'signs of zero': np.where(_X > 0, -0.0, 0.0),
  'constant': np.full(_SHAPE, -2.5),
  'huge and tiny': _X * 10.0 ** _RNG.integers(-30, 37, _SHAPE),
}
_MASK = _RNG.random(_SHAPE) < 0.3


@pytest.mark.parametrize('kept', [None, _MASK], ids=['all', 'masked'])
@pytest.mark.parametrize('kind', list(_MAPS))
def test_equals_numpy(kind, kept):
  x = _MAPS[kind].astype(np.float32)
  found = jax.jit(quantiles.quantile)(x, np.array(_LEVELS), kept)
  assert found.shape == (len(_LEVELS), len(x), 1, 1, 1)
  for i, one in enumerate(x):
    values = np.sort(one.ravel() if kept is None else one[kept[i]])
    expected = np.quantile(values.astype(np.float64), _LEVELS)
    # The position between two values is rounded, relative to their distance.
    positions = np.array(_LEVELS) * (len(values) - 1)
    gaps = values[np.ceil(positions).astype(int)] - values[np.floor(positions).astype(int)]
    error = np.abs(np.asarray(found)[:, i, 0, 0, 0] - expected)
    assert (error <= 1e-4 * gaps + 1e-6 * np.abs(expected)).all()


def test_median_of_odd_count_is_a_value():
  x = _X[..., :1]
  np.testing.assert_array_equal(np.ravel(quantiles.quantile(x, 0.5)), np.median(x, (1, 2, 3)))


def test_one_value_and_empty_mask():
  kept = np.zeros(_SHAPE, bool)
  kept[1, 3, 4, 0] = kept[2, 0, 0, 0] = kept[2, 0, 0, 1] = True
  found = np.ravel(quantiles.quantile(_X, 0.75, kept))
  assert np.isnan(found[0]) and found[1] == _X[1, 3, 4, 0]
  np.testing.assert_allclose(found[2], np.quantile(_X[2, 0, 0], 0.75), rtol=1e-6)


def test_masked_values_are_ignored():
  marred = np.where(_MASK, _X, np.nan)
  np.testing.assert_array_equal(*(quantiles.quantile(x, 0.3, _MASK) for x in (_X, marred)))


def test_infinity_is_the_largest_value_and_nan_gives_nan():
  x = np.array([1, 2, np.inf, -np.inf, 5], np.float32).reshape(1, 5, 1, 1)
  assert np.ravel(quantiles.quantile(x, 0.5)) == 2
  assert np.ravel(quantiles.quantile(x, 1.0)) == np.inf
  x[0, 1] = np.nan
  assert np.isnan(quantiles.quantile(x, 0.5)).all()
  assert np.ravel(quantiles.quantile(x, 0.5, x == x)) == 3


@pytest.mark.parametrize('at', [0.3, (0.3, 0.9)])
def test_quantile_has_no_derivative_and_does_not_sort(at):
  slope = jax.grad(lambda x: quantiles.quantile(x, at).sum() + x.sum())(_X)
  np.testing.assert_array_equal(slope, 1)
  assert not primitives(lambda x: quantiles.quantile(x, at), _X)['sort']
