"""Losses of SDDR: invariances, masks, and values computed by hand."""

import jax
import numpy as np

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
  ours = sddr.affine_invariant(prediction, target, valid, smoothness=0.5)
  for p, t, m, value in zip(prediction, target, valid, ours, strict=True):
    p, t = (x - np.median(x[m > 0]) for x in (p, t))
    residual = m * (p / np.abs(p[m > 0]).mean() - t / np.abs(t[m > 0]).mean())
    expected = np.abs(residual).sum() / (2 * m.sum())
    for step in (1, 2, 4, 8):
      r, w = residual[::step, ::step], m[::step, ::step]
      across = (np.abs(np.diff(r, axis=1)) * w[:, 1:] * w[:, :-1]).sum()
      down = (np.abs(np.diff(r, axis=0)) * w[1:] * w[:-1]).sum()
      expected += 0.5 * (across + down) / max(w.sum(), 1)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_affine_invariant_ignores_invalid_pixels_and_has_a_derivative():
  prediction, target = _maps(2)
  valid = np.ones_like(target)
  valid[:, 4:7, 2:9] = 0
  other = np.where(valid > 0, target, np.nan)
  loss = lambda p, t: sddr.affine_invariant(p, t, valid).sum()  # noqa: E731
  np.testing.assert_allclose(loss(prediction, other), loss(prediction, target), rtol=1e-6)
  slope = np.asarray(jax.grad(loss)(prediction, other))
  assert not slope[valid == 0].any()
  step = 1e-3 * slope / np.linalg.norm(slope)
  difference = loss(prediction + step, other) - loss(prediction - step, other)
  np.testing.assert_allclose(difference, 2e-3 * np.linalg.norm(slope), rtol=0.05)
  assert not np.asarray(sddr.affine_invariant(prediction, target, 0 * valid)).any()


def test_the_gradient_of_the_loss_has_no_shift_and_survives_rounding():
  """The exact derivative of the median would move to another pixel."""
  prediction, target = _maps(2)
  slope = jax.grad(lambda p: sddr.affine_invariant(p, target, np.ones_like(target)).sum())
  before, after = slope(prediction), slope(prediction * (1 + 1e-6 * _maps(1)[0]))
  np.testing.assert_allclose(before.sum((1, 2, 3)), 0, atol=1e-5)
  assert np.linalg.norm(after - before) < 1e-3 * np.linalg.norm(before)


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


def test_fusion_equals_eq_9():
  """For gradients from 0 to 99, and for proportional and opposed weights of the high stream."""
  label = np.arange(100, dtype=np.float32).reshape(1, 10, 10, 1)
  options = {'fraction': 0.02, 'levels': 4}
  assert sddr.fusion(label / 99, label, **options).item() < 1e-6
  opposed, expected = 1 - label / 99, 0.0
  for n in range(1, 5):
    at = 0.02 * n, 1 - 0.02 * n
    (low, high), (at_low, at_high) = np.quantile(label, at), np.quantile(opposed, at)
    expected += np.maximum(0, opposed - at_low)[label < low].sum()
    expected += np.maximum(0, at_high - opposed)[label > high].sum()
  np.testing.assert_allclose(sddr.fusion(opposed, label, **options), expected / 400, rtol=1e-4)
  slope = jax.grad(lambda x: sddr.fusion(x, label, **options).sum())(opposed)
  # Decreases weights in flat regions, increases them at edges, and keeps the rest.
  assert slope[0, 0, 0] > 0 > slope[0, -1, -1] and not slope[0, 2:8].any()
