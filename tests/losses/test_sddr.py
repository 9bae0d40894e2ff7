"""Losses of SDDR: invariances, masks, and values computed by hand."""

import jax
import numpy as np
import pytest

from depthjax.losses import sddr
from depthjax.ops import gradients

_RNG = np.random.default_rng(0)


def _maps(count):
  return _RNG.random((count, 2, 16, 16, 1)).astype(np.float32)


def test_affine_invariant_ignores_scale_and_shift():
  target = _maps(1)[0]
  valid = np.ones_like(target)
  np.testing.assert_allclose(sddr.affine_invariant(3 * target - 1, target, valid), 0, atol=1e-5)
  assert (np.asarray(sddr.affine_invariant(-target, target, valid)) > 0.5).all()
  assert (np.asarray(sddr.affine_invariant(0 * target, target, valid)) > 0.1).all()


def test_affine_invariant_equals_a_numpy_twin():
  prediction, target = _maps(2)
  valid = (_RNG.random(target.shape) > 0.3).astype(np.float32)
  # An odd number of values, so that the median is one of them.
  valid[(valid.sum((1, 2, 3)) % 2 == 0), 8, 8] = 1 - valid[(valid.sum((1, 2, 3)) % 2 == 0), 8, 8]
  ours = sddr.affine_invariant(prediction, target, valid, smoothness=0.5)
  for p, t, m, value in zip(prediction, target, valid, ours, strict=True):
    normal = []
    for x in (p, t):
      x = x - np.median(x[m > 0])
      normal.append(x / np.abs(x[m > 0]).mean())
    residual = m * (normal[0] - normal[1])
    expected = np.abs(residual).sum() / (2 * m.sum())
    for step in (1, 2, 4, 8):
      r, w = residual[::step, ::step], m[::step, ::step]
      across = (np.abs(np.diff(r, axis=1)) * w[:, 1:] * w[:, :-1]).sum()
      down = (np.abs(np.diff(r, axis=0)) * w[1:] * w[:-1]).sum()
      expected += 0.5 * (across + down) / max(w.sum(), 1)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_affine_invariant_ignores_invalid_pixels():
  prediction, target = _maps(2)
  valid = np.ones_like(target)
  valid[:, 3:7, 2:9] = 0
  other = np.where(valid > 0, target, np.nan)
  loss = lambda p, t: sddr.affine_invariant(p, t, valid).sum()  # noqa: E731
  np.testing.assert_allclose(loss(prediction, other), loss(prediction, target), rtol=1e-6)
  grad = np.asarray(jax.grad(loss)(prediction, other))
  assert np.isfinite(grad).all() and not grad[valid == 0].any() and grad[valid > 0].any()
  assert not np.asarray(sddr.affine_invariant(prediction, target, 0 * valid)).any()


def test_derivative_equals_finite_differences():
  prediction, target = _maps(2)
  valid = np.ones_like(target)
  loss = lambda p: sddr.affine_invariant(p, target, valid).sum()  # noqa: E731
  slope = np.asarray(jax.grad(loss)(prediction))
  step = 1e-3 * slope / np.linalg.norm(slope)
  difference = loss(prediction + step) - loss(prediction - step)
  np.testing.assert_allclose(difference, 2e-3 * np.linalg.norm(slope), rtol=0.05)


def test_gradient_loss_aligns_each_region():
  x = _maps(1)[0]
  regions = np.zeros((2, 16, 16, 2), np.float32)
  regions[:, 2:7, 2:7, 0], regions[:, 9:14, 4:12, 1] = 1, 1
  edges = np.asarray(gradients.magnitude(x))
  label = np.where(regions[..., :1] > 0, 2 * edges + 1, 0.5 * edges)
  np.testing.assert_allclose(sddr.gradient(x, label, regions), 0, atol=1e-5)
  # A single region cannot be aligned.
  assert (np.asarray(sddr.gradient(x, label, regions.sum(-1, keepdims=True))) > 0.05).all()
  slope = jax.grad(lambda x: sddr.gradient(x, _maps(1)[0], regions).sum())(x)
  assert np.abs(slope[:, 9:14, 4:12]).sum() > 0 and not slope[:, :, 14:].any()


@pytest.fixture(scope='module')
def stairs():
  """Gradients from 0 to 99, each once, and proportional weights of the high stream."""
  label = np.arange(100, dtype=np.float32).reshape(1, 10, 10, 1)
  return label, label / 99


def test_fusion_is_zero_for_weights_proportional_to_the_label(stairs):
  label, omega = stairs
  assert sddr.fusion(omega, label, fraction=0.02, levels=4).item() < 1e-6


def test_fusion_of_opposed_weights_equals_eq_9(stairs):
  label, omega = stairs
  opposed = 1 - omega
  expected = 0.0
  for n in range(1, 5):
    low, high = (np.quantile(label, q) for q in (0.02 * n, 1 - 0.02 * n))
    at_low, at_high = (np.quantile(opposed, q) for q in (0.02 * n, 1 - 0.02 * n))
    expected += np.maximum(0, opposed - at_low)[label < low].sum()
    expected += np.maximum(0, at_high - opposed)[label > high].sum()
  ours = sddr.fusion(opposed, label, fraction=0.02, levels=4)
  np.testing.assert_allclose(ours, [expected / (4 * 100)], rtol=1e-4)
  slope = jax.grad(lambda x: sddr.fusion(x, label, fraction=0.02, levels=4).sum())(opposed)
  # Decreases weights in flat regions, increases them at edges, and keeps the rest.
  assert slope[0, 0, 0] > 0 > slope[0, -1, -1] and not slope[0, 2:8].any()
