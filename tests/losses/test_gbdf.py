"""Losses of gradient-based fusion: points across edges, the ranking loss, and the total."""

import functools

import jax
import numpy as np
import pytest

from depthjax.losses import gbdf
from depthjax.ops import resize

_S = 64
_DISTANCE = 0.15
_KEYS = jax.random.split(jax.random.key(0), 2)
_across = jax.jit(functools.partial(gbdf.across_edges, distance=_DISTANCE))
_losses = jax.jit(functools.partial(gbdf.losses, distance=_DISTANCE))


def _step(at=30, slant=0.0):
  """A map [h w 1], 0.2 on the left of a line and 0.8 on the right."""
  rows, columns = np.mgrid[:_S, :_S]
  return np.where(columns + slant * (rows - _S / 2) >= at, 0.8, 0.2)[..., None].astype(np.float32)


def _points(x, seed=0):
  """Rows and columns [4 n] of the points of valid edges, and the mask of edges."""
  points, counts = (np.asarray(y) for y in _across(jax.random.key(seed), x))
  return np.unravel_index(points[:, counts > 0], (_S, _S)), counts


@pytest.mark.parametrize('slant', [0.0, 0.5, -0.5])
def test_points_lie_in_order_across_the_edge(slant):
  """For all signs of the two derivatives."""
  (rows, columns), counts = _points(_step(slant=slant))
  assert 0 < counts.sum() < len(counts) == int(0.15 * _S * _S)
  # Distance from the line, which lies between two columns.
  distance = (columns + slant * (rows - _S / 2) - 29.5) / np.hypot(1, slant)
  limit = _DISTANCE * _S
  assert 0.85 * limit < np.abs(distance).max() <= limit + 2
  assert (np.diff(distance, axis=0) > -1).all(), 'ordered across the edge'
  assert distance[:2].mean() < -2 and distance[2:].mean() > 2
  assert len(np.unique(distance[0])) > 3
  if not slant:
    margin = int(0.2 * limit)
    assert (rows.min(), rows.max()) == (margin, _S - 1 - margin) and margin


def test_points_depend_on_the_key_alone_and_a_flat_map_has_none():
  first, second, other = (_points(_step(), seed)[0][1] for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, second)
  assert (first != other).any()
  assert not _points(np.full((_S, _S, 1), 0.4, np.float32))[1].any()


def test_ranking_of_pairs_by_hand():
  """Two edges of four points each; the second has weight 0."""
  guide = np.float32([0.5, 0.5, 0.9, 0.9004, 0, 0, 0, 0.1])[:, None, None]
  x = np.float32([0.1, 0.3, 0.4, 0.6, 5, -5, 5, 5])[:, None, None]
  points = np.arange(8).reshape(2, 4).T
  loss = float(gbdf.ranking(x, guide, points, np.float32([1, 0])))
  far = np.log(1 + np.exp(-1 / (abs(-0.1 + 0.4) + 0.1)))
  assert loss == pytest.approx(0.2**2 + far + 0.2**2, rel=1e-5)
  both = float(gbdf.ranking(x, guide, points, np.float32([1, 1])))
  # Pairs with a value of 0 have no order.
  assert both == pytest.approx((loss + 100 + 100 + 0) / 2, rel=1e-5)


# Steps: sharp with the right values, blurred, and sharp with wrong values.
_RIGHT = np.stack([_step(), _step(slant=0.5)])
_LOW = np.asarray(resize.upsample(resize.downsample(_RIGHT, 4), (_S, _S)))
_HIGH = 0.5 + 0.3 * (_RIGHT - 0.5) + 0.1 * np.linspace(0, 1, _S, dtype=np.float32)[:, None]


def _sizes(x):
  factors = {'fusion': 1, 'half': 2, 'quarter': 4}
  return {name: resize.downsample(x, factor) for name, factor in factors.items()}


def _both(x):
  return jax.device_get(_losses(_sizes(x), _LOW, _HIGH, _KEYS))


def test_low_map_has_the_lowest_values_loss_and_sharpened_map_the_lowest_ranking_loss():
  guide = np.asarray(gbdf.sharpened(_LOW, _HIGH))
  scores = {name: _both(x) for name, x in (('low', _LOW), ('high', _HIGH), ('guide', guide))}
  np.testing.assert_allclose(scores['low']['values'], 0, atol=1e-5)
  assert all(scores['low']['values'] < scores['guide']['values'])
  assert all(scores['guide']['values'] < scores['high']['values'])
  assert all(scores['guide']['ranking'] < scores['low']['ranking'])
  assert all(scores['guide']['ranking'] < scores['high']['ranking'])
  # The filter transfers the step of the high map.
  steepest = [np.abs(np.diff(x, axis=2)).max() for x in (guide, _LOW)]
  assert steepest[0] > 1.5 * steepest[1]


def test_values_loss_by_hand():
  x = _LOW + np.float32(0.1)
  error = 0.2 + np.abs(np.tanh(2 * x - 1) - np.tanh(2 * _LOW - 1)).mean(axis=(1, 2, 3))
  # All three resolutions have the same difference, and nearly the same mean of tanh.
  np.testing.assert_allclose(_both(x)['values'], 3 * error, rtol=0.01)


def test_ranking_sums_edges_of_both_maps_at_three_resolutions():
  maps = {'high': _HIGH, 'guide': np.asarray(gbdf.sharpened(_LOW, _HIGH))}
  expected = 0.0
  for i, (name, x) in enumerate(_sizes(_RIGHT).items()):
    sized = {kind: 2 * _sizes(y)[name][1] - 1 for kind, y in maps.items()}
    for j, (kind, weight) in enumerate((('high', 8), ('guide', 12))):
      edges = _across(jax.random.fold_in(_KEYS[1], 2 * i + j), sized[kind])
      expected += weight * gbdf.ranking(2 * x[1] - 1, sized['guide'], *edges)
  assert _both(_RIGHT)['ranking'][1] == pytest.approx(float(expected), rel=1e-3)


def test_examples_are_independent_and_gradients_finite():
  reversed_losses = _losses(_sizes(_RIGHT[::-1]), _LOW[::-1], _HIGH[::-1], _KEYS[::-1])
  for name, x in _both(_RIGHT).items():
    assert x.shape == (2,) and x[0] != x[1]
    np.testing.assert_allclose(reversed_losses[name][::-1], x, rtol=1e-5)

  def total(x):
    return sum(value.sum() for value in _losses(_sizes(x), _LOW, _HIGH, _KEYS).values())

  for x in (_LOW, np.zeros_like(_LOW)):
    gradient = jax.grad(total)(x)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
