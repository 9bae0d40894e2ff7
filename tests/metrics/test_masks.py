"""Metrics of refinement by masks: values by hand, NumPy twins, alignment, NaN and weights."""

import jax
import numpy as np
import pytest

from depthjax.metrics import boundary
from depthjax.metrics import masks as metrics

_RNG = np.random.default_rng(0)
_TRUTH = _RNG.uniform(0.2, 1, (2, 12, 16, 1)).astype(np.float32)
_LEFT = np.broadcast_to(np.arange(16)[:, None] < 8, _TRUTH.shape).astype(np.float32)
_mbe = jax.jit(metrics.mbe, static_argnames='side')
_r3, _recall = jax.jit(metrics.r3), jax.jit(metrics.recall)
_whdr = jax.jit(metrics.whdr, static_argnames=('pairs', 'seed'))


def test_mbe_by_hand():
  """Errors of 1 in the two columns at the border, which scale and shift cannot remove."""
  truth = np.zeros_like(_TRUTH)
  truth[:, :, 7], truth[:, :, 8] = 1, -1
  flat = np.full_like(truth, 0.3)
  expected = {3: 1, 5: np.sqrt(2 / 4), 11: np.sqrt(2 / 10)}
  assert set(expected) == set(metrics.SIDES)
  for side, value in expected.items():
    np.testing.assert_allclose(_mbe(flat, truth, _LEFT, side=side).value, value, rtol=1e-6)
  # Mean over two masks; the band of the second has half the squared error. An empty one is ignored.
  shifted = np.roll(_LEFT, 1, axis=2) * (np.arange(16)[:, None] > 0)
  several = np.concatenate([_LEFT, np.maximum(shifted, _LEFT), 0 * _LEFT], axis=-1)
  found = _mbe(flat, truth, several, side=3)
  np.testing.assert_allclose(found.value, (1 + np.sqrt(1 / 2)) / 2, rtol=1e-6)
  assert list(found.weight) == [1, 1] and list(_mbe(flat, truth, 0 * _LEFT).weight) == [0, 0]


def test_mbe_aligns_over_all_valid_pixels():
  valid = _RNG.random(_TRUTH.shape) < 0.8
  prediction = np.where(valid, 7 * _TRUTH - 3, np.nan)
  target = np.where(valid, _TRUTH, np.nan)
  assert _mbe(prediction, target, _LEFT, valid).value.max() < 1e-6
  prediction[valid] += 5 * _LEFT[valid]
  assert _mbe(prediction, target, _LEFT, valid).value.min() > 0.05
  prediction[0, 0, 0, 0], valid[0, 0, 0, 0], target[0, 0, 0, 0] = np.nan, True, 1
  assert list(np.isnan(_mbe(prediction, target, _LEFT, valid).value)) == [True, False]


def test_r3_by_hand():
  """Of four wrong pixels three are corrected; one other pixel is spoilt."""
  initial, refined = _TRUTH.copy(), _TRUTH.copy()
  initial[:, 0, :4, 0] += np.float32([0.3, -0.3, 0.3, -0.3])
  refined[:, 0, 3, 0], refined[:, 5, 5, 0] = initial[:, 0, 3, 0], refined[:, 5, 5, 0] - 0.3
  for scale, shift in ((1, 0), (9, -4)):
    found = _r3(scale * initial + shift, scale * refined + shift, _TRUTH)
    assert [list(x.value) for x in found] == [[3, 3], [3, 3], [1, 1]]
  # Without the spoilt pixel; nothing changed; aligned as the initial map, not by itself.
  valid = np.ones_like(_TRUTH)
  valid[:, 5, 5] = 0
  refined[:, 5, 5] = np.nan
  assert [x.value[0] for x in _r3(initial, refined, _TRUTH, valid)] == [3, 3, 0]
  assert [x.value[0] for x in _r3(initial, initial, _TRUTH)] == [1, 0, 0]
  assert [x.value[0] for x in _r3(_TRUTH, _TRUTH + 0.2, _TRUTH)] == [0, 0, 12 * 16]
  spoilt = _r3(initial, refined, _TRUTH)
  assert np.isnan([x.value for x in spoilt]).all() and list(spoilt.ratio.weight) == [1, 1]


def test_whdr_equals_all_pairs():
  truth = _RNG.choice([0, 0.5, 0.51, 1], (1, 4, 4, 1)).astype(np.float32)
  guess = _RNG.choice([0, 1, 2], truth.shape).astype(np.float32)
  valid = _RNG.random(truth.shape) < 0.8
  (x, y), kept = (z[valid] for z in (guess, truth)), valid.sum()
  a, b = np.indices((kept, kept))
  nearer = y[a] > 1.03 * y[b]
  expected = np.mean(x[a][nearer] <= x[b][nearer])
  assert 0.2 < expected < 0.8
  found = _whdr(np.where(valid, guess, np.nan), np.where(valid, truth, np.nan), valid)
  np.testing.assert_allclose(found.value, expected, atol=0.02)
  assert _whdr(guess, 1 + 0.02 * guess / 2).weight == 0  # No pair differs by enough.
  for guess, expected in ((_TRUTH**3 - 5, 0), (-_TRUTH, 1), (0 * _TRUTH, 1), (np.nan, np.nan)):
    found = _whdr(np.broadcast_to(np.float32(guess), _TRUTH.shape), _TRUTH).value
    np.testing.assert_array_equal(found, [expected] * 2)


def test_recall_equals_boundary_recall_of_the_mask():
  mask = (_RNG.random(_TRUTH.shape) < 0.5) * 1.0
  found = _recall(_TRUTH, mask).value
  for value, x, inside in zip(found, 0.1 + 0.9 * _TRUTH[..., 0], mask[..., 0], strict=True):
    true = np.where(inside, 1.0, 2.0)
    twin = boundary.boundary(1 / x, true, inside >= 0, tolerance=0)
    assert value == pytest.approx(twin.recall, rel=1e-5) and 0.3 < value < 0.6


def test_recall_by_hand():
  """1 for disparity made of the mask; half of the border; a ratio between the thresholds."""
  step = lambda ratio: (0.4 * (1 + (ratio - 1) * _LEFT) - 0.1) / 0.9  # noqa: E731
  half = np.where(np.arange(12)[:, None, None] < 6, step(1.5), step(1))
  some = boundary.THRESHOLDS[boundary.THRESHOLDS < 1.15].sum() / boundary.THRESHOLDS.sum()
  cases = [(_LEFT, 1), (1 - _LEFT, 0), (half, 0.5), (step(1.15), some)]
  for prediction, expected in (*cases, (np.where(_LEFT, 1, np.nan), np.nan)):
    np.testing.assert_allclose(_recall(prediction, _LEFT).value, expected, rtol=1e-6)
  assert list(_recall(_LEFT, _LEFT * np.float32([1, 0]).reshape(2, 1, 1, 1)).weight) == [1, 0]


def test_change_ignores_the_border():
  mask = np.zeros((1, 8, 64, 1), np.float32)
  mask[:, :, :20] = 0.6
  initial = np.zeros_like(mask)
  refined = np.where(np.arange(64)[:, None] < 37, np.float32(np.nan), 0) * np.ones_like(mask)
  refined[:, :, :3], refined[:, :, 60:] = 0, 0.7  # 3 columns at the left are beyond 16 pixels.
  change = jax.jit(metrics.change)
  found = change(initial, refined, mask)
  assert found.value == pytest.approx(4 * 0.7 / (3 + 27)) and found.weight == 1
  stripes = mask * 0 + (np.arange(64)[:, None] % 30 < 15)
  assert change(initial, refined, stripes).weight == 0
