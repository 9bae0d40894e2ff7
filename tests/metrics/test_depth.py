"""Metrics of disparity against NumPy twins by least squares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.metrics import aligned
from depthjax.metrics import depth as metrics
from depthjax.ops import alignment

_fit = jax.jit(metrics.fit_spline)
_mae = jax.jit(metrics.mae_spline)


def _maps(b=3, h=14, w=11, seed=0):
  """A prediction, and a target that is a nonlinear function of it plus noise."""
  rng = np.random.default_rng(seed)
  prediction = rng.gamma(2.0, size=(b, h, w, 1)).astype(np.float32)
  target = np.sin(prediction) + 0.1 * rng.normal(size=prediction.shape)
  return prediction, target.astype(np.float32)


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
  prediction, target = _maps()
  expected = _expected(prediction, target)
  np.testing.assert_allclose(_fit(prediction, target), expected, atol=1e-4)
  error = np.abs(expected - target).mean(axis=(1, 2, 3))
  np.testing.assert_allclose(_mae(prediction, target), error, rtol=1e-4)
  line = np.abs(prediction - target).mean(axis=(1, 2, 3))
  assert (error < 0.5 * line).all()


@pytest.mark.parametrize('levels', [1, 2, 3, 4, 6])
def test_equal_knots_are_merged(levels):
  """Few distinct values, as in a background of zeros."""
  rng = np.random.default_rng(levels)
  prediction, target = _maps()
  p = rng.dirichlet(np.full(levels, 0.5))
  prediction = rng.choice(levels, prediction.shape, p=p).astype(np.float32)
  result = np.asarray(_fit(prediction, target))
  np.testing.assert_allclose(result, _expected(prediction, target), atol=1e-4)
  assert np.isfinite(_mae(prediction, target)).all()


def test_constant_prediction_becomes_the_mean():
  _, target = _maps()
  for value in (0.0, 0.3, -1e6):
    result = _fit(np.full_like(target, value), target)
    mean = target.mean(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(result, np.broadcast_to(mean, target.shape), atol=1e-5)


def test_inverted_disparity_and_depth_have_no_error():
  target = np.random.default_rng(0).uniform(0.2, 1, (2, 16, 16, 1)).astype(np.float32)
  for prediction in (-target, 3 - 2 * target, 100 * target):
    assert np.all(_mae(prediction, target) < 1e-4)
  assert np.all(_mae(1 / target, target) < 0.02)


def test_spline_ignores_pixel_order_and_other_examples():
  prediction, target = _maps()
  shuffled = np.random.default_rng(1).permutation(14)
  one = _mae(prediction, target)
  np.testing.assert_allclose(_mae(prediction[:, shuffled], target[:, shuffled]), one, rtol=1e-4)
  np.testing.assert_allclose(_mae(prediction[1:2], target[1:2])[0], one[1], rtol=1e-4)


def test_spline_ignores_invalid_pixels():
  prediction, target = _maps()
  valid = np.random.default_rng(2).random(target.shape) < 0.6
  marred, spoilt = np.where(valid, prediction, np.nan), np.where(valid, target, np.nan)
  result = np.asarray(_fit(marred, spoilt, valid))
  errors = np.asarray(_mae(marred, spoilt, valid.astype(np.float32)))
  for i in range(3):
    x, y = prediction[i][valid[i]], target[i][valid[i]]
    expected = _twin(x, y)
    np.testing.assert_allclose(result[i][valid[i]], expected, atol=1e-4)
    np.testing.assert_allclose(errors[i], np.abs(expected - y).mean(), rtol=1e-4)
  assert np.isfinite(result).all()


def test_example_without_a_valid_pixel_is_nan():
  prediction, target = _maps()
  valid = np.ones(target.shape, np.float32)
  valid[1] = 0
  for metric in (_mae, metrics.iou, metrics.rmse, metrics.rel, metrics.delta1):
    scores = np.asarray(metric(prediction, target, valid))
    assert list(np.isnan(scores)) == [False, True, False]


def test_iou_counts_pixels():
  target = np.zeros((4, 2, 4, 1), np.float32)
  target[:3, :, :2] = 1
  prediction = np.zeros_like(target)
  prediction[0] = target[0]
  prediction[1, :, 1:3] = 0.51
  prediction[2, :, 1:3] = 0.49
  np.testing.assert_allclose(metrics.iou(prediction, target), [1, 1 / 3, 0, 1], rtol=1e-6)
  valid = np.ones_like(target)
  valid[1, :, 2:] = 0
  np.testing.assert_allclose(metrics.iou(prediction, target, valid), [1, 1 / 2, 0, 1], rtol=1e-6)


def _aligned_scores(prediction, target, valid=None):
  fitted = alignment.align(prediction, target, valid)
  scores = [metric(fitted, target, valid) for metric in (metrics.rmse, metrics.rel, metrics.delta1)]
  return jnp.stack(scores)


def test_the_line_leaves_no_error_of_scale_and_shift():
  target = np.random.default_rng(0).random((3, 16, 16, 1)).astype(np.float32)
  for prediction in (target, 7 * target - 3, 1 - target):
    rmse, rel, delta1 = jax.jit(_aligned_scores)(prediction, target)
    assert max(*rmse, *rel) < 1e-5 and list(delta1) == [1, 1, 1]
  rmse, rel, delta1 = _aligned_scores(np.full_like(target, 0.3), target)
  np.testing.assert_allclose(rmse, target.std(axis=(1, 2, 3)), rtol=1e-4)
  assert (rel > 0.4).all() and (delta1 < 0.6).all()


def test_scores_of_masked_pixels_equal_those_of_the_host():
  prediction, target = _maps()
  target = 1.3 + 0.9 * target / np.abs(target).max()
  valid = np.random.default_rng(2).random(target.shape) < 0.6
  spoilt = [np.where(valid, x, np.nan).astype(np.float32) for x in (prediction, target)]
  found = jax.jit(_aligned_scores)(*spoilt, valid.astype(np.float32))
  for i in range(3):
    scale, shift = aligned.line(prediction[i][valid[i]], target[i][valid[i]])
    arrays = scale * prediction[i] + shift, target[i], valid[i]
    expected = aligned.errors(*(x[..., 0] for x in arrays))
    names = ('rmse', 'rel', 'delta1')
    np.testing.assert_allclose(found[:, i], [expected[name] for name in names], rtol=1e-4)


def test_small_targets_are_ignored_by_ratios():
  target = np.float32([0, 0.04, 0.06, 1]).reshape(1, 2, 2, 1)
  prediction = np.float32([1, 1, 0.03, -2]).reshape(target.shape)
  assert metrics.rel(prediction, target) == pytest.approx((0.5 + 3) / 2)
  assert metrics.delta1(prediction, target) == 0
  prediction = np.float32([1, 1, 0.06 * 1.24, -2]).reshape(target.shape)
  assert metrics.delta1(prediction, target) == 0.5
  assert np.isnan(metrics.rel(prediction, 0 * target)).all()
