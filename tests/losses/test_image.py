"""L1 and the error-weighted L1 loss (DeepLens, eq. 4 and 5), and its gradients."""

import functools

import jax
import numpy as np
import pytest

from depthjax.losses import image as losses

_ALPHA = 1.5
_l1 = jax.jit(losses.l1)
_weighted = jax.jit(losses.error_weighted, static_argnames=('alpha', 'differentiate_weights'))


@functools.partial(jax.jit, static_argnames=('alpha', 'differentiate_weights'))
def _grad(prediction, target, **options):
  return jax.grad(lambda x: losses.error_weighted(x, target, **options).sum())(prediction)


def _pair(seed=0):
  rng = np.random.default_rng(seed)
  target = rng.random((2, 5, 4, 3), np.float32)
  # Signed errors of magnitude 0.01 to 0.5, none of them zero.
  error = rng.uniform(0.01, 0.5, target.shape) * rng.choice([-1, 1], target.shape)
  return (target + error).astype(np.float32), target


def test_losses_equal_their_formulas():
  prediction, target = _pair()
  error = np.abs(prediction - target).astype(np.float64).reshape(2, -1)
  np.testing.assert_allclose(_l1(prediction, target), error.mean(axis=1), rtol=1e-6)
  for alpha in (_ALPHA, 0.5, 3.0):
    expected = (error ** (alpha + 1)).sum(axis=1) / (error**alpha).sum(axis=1)
    np.testing.assert_allclose(_weighted(prediction, target, alpha=alpha), expected, rtol=1e-4)


def test_gradients_equal_the_analytic_ones():
  """d/de of the ratio, with constant weights and with differentiated weights."""
  prediction, target = _pair()
  error, sign = np.abs(prediction - target).astype(np.float64), np.sign(prediction - target)
  total = (error**_ALPHA).sum(axis=(1, 2, 3), keepdims=True)
  loss = (error ** (_ALPHA + 1)).sum(axis=(1, 2, 3), keepdims=True) / total
  constant = sign * error**_ALPHA / total
  written = sign * error ** (_ALPHA - 1) * ((_ALPHA + 1) * error - _ALPHA * loss) / total
  assert (sign * written)[error < 0.99 * loss * _ALPHA / (_ALPHA + 1)].max() < 0
  np.testing.assert_allclose(_grad(prediction, target), constant, rtol=1e-3, atol=1e-7)
  result = _grad(prediction, target, differentiate_weights=True)
  np.testing.assert_allclose(result, written, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize('alpha, differentiate', [(1.5, False), (1.5, True), (0.5, True)])
def test_gradients_at_zero_error_are_zero_and_finite(alpha, differentiate):
  options = {'alpha': alpha, 'differentiate_weights': differentiate}
  prediction, target = _pair()
  np.testing.assert_array_equal(_weighted(target, target, **options), 0)
  np.testing.assert_array_equal(_grad(target, target, **options), 0)
  prediction[:, 2, 2] = target[:, 2, 2]
  grad = np.asarray(_grad(prediction, target, **options))
  assert np.isfinite(grad).all() and np.all(grad[:, 2, 2] == 0) and np.all(grad[:, 0, 0] != 0)


@pytest.mark.parametrize('loss', [_l1, _weighted])
def test_examples_are_independent(loss):
  (one, target), (two, _) = _pair(), _pair(seed=5)
  first, mixed = loss(one, target), loss(np.concatenate([one[:1], 3 * two[1:]]), target)
  assert first.shape == (2,) and mixed[0] == first[0] and mixed[1] != first[1]
