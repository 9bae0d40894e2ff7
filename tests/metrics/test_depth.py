"""Metrics of disparity against NumPy twins by least squares."""

import jax
import numpy as np
import pytest

from depthjax.metrics import aligned
from depthjax.metrics import depth as metrics
from depthjax.ops import alignment

_fit = jax.jit(metrics.fit_spline)
_mae = jax.jit(metrics.mae_spline)
# A prediction, a target that is a nonlinear function of it plus noise, and valid pixels.
_RNG = np.random.default_rng(0)
_X = _RNG.gamma(2.0, size=(3, 14, 11, 1)).astype(np.float32)
_Y = np.float32(np.sin(_X) + 0.1 * _RNG.normal(size=_X.shape))
_VALID = _RNG.random(_X.shape) < 0.6


def _twin(x, y):
  """Fitted values [n] by lstsq: a continuous, piecewise linear function."""
  x, y = x.astype(np.float64), y.astype(np.float64)
  knots = np.unique(np.sort(x)[[(len(x) - 1) * j // 4 for j in range(5)]])
  columns = [np.ones_like(x), x] + [np.maximum(x - knot, 0) for knot in knots[1:-1]]
  design = np.stack(columns, axis=-1)
  return design @ np.linalg.lstsq(design, y, rcond=None)[0]


def _expected(prediction, target):
  pairs = zip(prediction, target, strict=True)
  return np.stack([_twin(x.ravel(), y.ravel()).reshape(x.shape) for x, y in pairs])


def test_spline_equals_a_numpy_twin():
  expected = _expected(_X, _Y)
  np.testing.assert_allclose(_fit(_X, _Y), expected, atol=1e-4)
  error = np.abs(expected - _Y).mean(axis=(1, 2, 3))
  np.testing.assert_allclose(_mae(_X, _Y).value, error, rtol=1e-4)


@pytest.mark.parametrize('levels', [1, 2, 3, 4, 6])
def test_equal_knots_are_merged(levels):
  """Few distinct values, as in a background of zeros."""
  rng = np.random.default_rng(levels)
  p = rng.dirichlet(np.full(levels, 0.5))
  prediction = rng.choice(levels, _Y.shape, p=p).astype(np.float32)
  np.testing.assert_allclose(_fit(prediction, _Y), _expected(prediction, _Y), atol=1e-4)


def test_constant_prediction_becomes_the_mean():
  mean = np.broadcast_to(_Y.mean(axis=(1, 2, 3), keepdims=True), _Y.shape)
  for value in (0.0, 0.3, -1e6):
    np.testing.assert_allclose(_fit(np.full_like(_Y, value), _Y), mean, atol=1e-5)


def test_inverted_disparity_and_depth_have_no_error():
  target = np.random.default_rng(0).uniform(0.2, 1, (2, 16, 16, 1)).astype(np.float32)
  for prediction in (-target, 3 - 2 * target, 100 * target):
    assert np.all(_mae(prediction, target).value < 1e-4)
  assert np.all(_mae(1 / target, target).value < 0.02)


def test_spline_ignores_invalid_pixels():
  marred, spoilt = np.where(_VALID, _X, np.nan), np.where(_VALID, _Y, np.nan)
  result = np.asarray(_fit(marred, spoilt, _VALID))
  errors = np.asarray(_mae(marred, spoilt, _VALID.astype(np.float32)).value)
  for i, valid in enumerate(_VALID):
    expected = _twin(_X[i][valid], _Y[i][valid])
    np.testing.assert_allclose(result[i][valid], expected, atol=1e-4)
    np.testing.assert_allclose(errors[i], np.abs(expected - _Y[i][valid]).mean(), rtol=1e-4)
  assert np.isfinite(result).all()


def test_an_example_without_a_valid_pixel_has_weight_0_and_nan_output_stays():
  valid = np.float32([1, 0, 1])[:, None, None, None] * np.ones_like(_Y)
  for metric in (_mae, metrics.iou, metrics.rmse, metrics.rel, metrics.delta1):
    score = metric(_X, _Y, valid)
    assert list(score.weight) == [1, 0, 1] and np.isfinite(score.value).all()
    for spoilt in (_X * np.nan, np.where(_X == _X[0].max(), np.nan, _X)):
      score = metric(spoilt, _Y, valid)
      assert np.isnan(score.value[0]) and list(score.weight) == [1, 0, 1], metric


def test_iou_counts_pixels():
  target, prediction = np.zeros((2, 4, 2, 4, 1), np.float32)
  target[:3, :, :2] = 1
  prediction[0] = target[0]
  prediction[1, :, 1:3] = 0.51
  prediction[2, :, 1:3] = 0.49
  np.testing.assert_allclose(metrics.iou(prediction, target).value, [1, 1 / 3, 0, 1], rtol=1e-6)
  valid = np.ones_like(target)
  valid[1, :, 2:] = 0
  np.testing.assert_allclose(
    metrics.iou(prediction, target, valid).value, [1, 1 / 2, 0, 1], rtol=1e-6
  )


def _aligned_scores(prediction, target, valid=None):
  fitted = alignment.align(prediction, target, valid)
  return [
    metric(fitted, target, valid).value for metric in (metrics.rmse, metrics.rel, metrics.delta1)
  ]


def test_the_line_leaves_no_error_of_scale_and_shift():
  target = np.random.default_rng(0).random((3, 16, 16, 1)).astype(np.float32)
  for prediction in (target, 7 * target - 3, 1 - target):
    rmse, rel, delta1 = jax.jit(_aligned_scores)(prediction, target)
    assert max(*rmse, *rel) < 1e-5 and list(delta1) == [1, 1, 1]
  rmse, rel, delta1 = _aligned_scores(np.full_like(target, 0.3), target)
  np.testing.assert_allclose(rmse, target.std(axis=(1, 2, 3)), rtol=1e-4)
  assert (rel > 0.4).all() and (delta1 < 0.6).all()


def test_scores_of_masked_pixels_equal_those_of_the_host():
  target = np.float32(1.3 + 0.9 * _Y / np.abs(_Y).max())
  spoilt = [np.where(_VALID, x, np.nan) for x in (_X, target)]
  found = np.stack(jax.jit(_aligned_scores)(*spoilt, _VALID.astype(np.float32)), axis=1)
  for i, valid in enumerate(_VALID):
    scale, shift = aligned.line(_X[i][valid], target[i][valid])
    maps = (x[..., 0] for x in (scale * _X[i] + shift, target[i], valid))
    expected = aligned.errors(*maps)
    names = ('rmse', 'rel', 'delta1')
    np.testing.assert_allclose(found[i], [expected[name] for name in names], rtol=1e-4)


def test_small_targets_are_ignored_by_ratios():
  target = np.float32([0, 0.04, 0.06, 1]).reshape(1, 2, 2, 1)
  prediction = np.float32([1, 1, 0.03, -2]).reshape(target.shape)
  assert metrics.rel(prediction, target).value == pytest.approx((0.5 + 3) / 2)
  assert metrics.delta1(prediction, target).value == 0
  prediction = np.float32([1, 1, 0.06 * 1.24, -2]).reshape(target.shape)
  assert metrics.delta1(prediction, target).value == 0.5
  assert metrics.rel(prediction, 0 * target).weight == 0
