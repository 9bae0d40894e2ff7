"""L1 and the error-weighted L1 loss (DeepLens, eq. 4 and 5), and its gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.losses import image as losses

_ALPHA = 1.5
_l1 = jax.jit(losses.l1)
_normalised = jax.jit(losses.normalised, static_argnames=('alpha', 'differentiate_weights'))


@functools.partial(jax.jit, static_argnames=('alpha', 'differentiate_weights'))
def _grad(prediction, target, **options):
  return jax.grad(lambda x: losses.normalised(x, target, **options).sum())(prediction)


def _pair(seed=0, b=2):
  rng = np.random.default_rng(seed)
  target = rng.random((b, 5, 4, 3), np.float32)
  # Signed errors of magnitude 0.01 to 0.5, none of them zero.
  error = rng.uniform(0.01, 0.5, target.shape) * rng.choice([-1, 1], target.shape)
  return (target + error).astype(np.float32), target


def test_l1_is_the_mean_absolute_error():
  prediction, target = _pair()
  expected = np.abs(prediction - target).reshape(2, -1).mean(axis=1)
  np.testing.assert_allclose(_l1(prediction, target), expected, rtol=1e-6)


def test_normalised_equals_the_formula_of_the_paper():
  prediction, target = _pair()
  error = np.abs(prediction - target).astype(np.float64).reshape(2, -1)
  for alpha in (_ALPHA, 0.5, 3.0):
    expected = (error ** (alpha + 1)).sum(axis=1) / (error**alpha).sum(axis=1)
    loss = _normalised(prediction, target, alpha=alpha)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_normalised_is_the_mean_error_for_equal_errors_and_larger_otherwise():
  prediction, target = _pair()
  sign = np.sign(prediction - target)
  np.testing.assert_allclose(_normalised(target + 0.2 * sign, target), 0.2, rtol=1e-5)
  assert np.all(_normalised(prediction, target) > 1.1 * _l1(prediction, target))


def test_gradients_equal_the_analytic_ones():
  """d/de of the ratio, with constant weights and with differentiated weights."""
  prediction, target = _pair()
  error = np.abs(prediction - target).astype(np.float64)
  sign = np.sign(prediction - target)
  total = (error**_ALPHA).sum(axis=(1, 2, 3), keepdims=True)
  loss = (error ** (_ALPHA + 1)).sum(axis=(1, 2, 3), keepdims=True) / total
  constant = sign * error**_ALPHA / total
  written = sign * error ** (_ALPHA - 1) * ((_ALPHA + 1) * error - _ALPHA * loss) / total
  np.testing.assert_allclose(_grad(prediction, target), constant, rtol=1e-3, atol=1e-7)
  result = _grad(prediction, target, differentiate_weights=True)
  np.testing.assert_allclose(result, written, rtol=1e-3, atol=1e-6)


def test_only_differentiated_weights_increase_small_errors():
  """Errors below alpha / (alpha + 1) of the loss have a negative gradient."""
  prediction, target = _pair()
  error, sign = np.abs(prediction - target), np.sign(prediction - target)
  bound = np.asarray(_normalised(prediction, target)) * _ALPHA / (_ALPHA + 1)
  small = error < 0.99 * bound[:, None, None, None]
  large = error > 1.01 * bound[:, None, None, None]
  assert small.sum() > 10 and large.sum() > 10
  grad = sign * np.asarray(_grad(prediction, target, differentiate_weights=True))
  assert np.all(grad[small] < 0) and np.all(grad[large] > 0)
  assert np.all(sign * np.asarray(_grad(prediction, target)) > 0)


_OPTIONS = ({}, {'differentiate_weights': True}, {'differentiate_weights': True, 'alpha': 0.5})


@pytest.mark.parametrize('options', _OPTIONS)
def test_gradients_at_zero_error_are_zero_and_finite(options):
  prediction, target = _pair()
  np.testing.assert_array_equal(_normalised(target, target, **options), 0)
  np.testing.assert_array_equal(_grad(target, target, **options), 0)
  prediction[:, 2, 2] = target[:, 2, 2]
  grad = np.asarray(_grad(prediction, target, **options))
  assert np.isfinite(grad).all() and np.all(grad[:, 2, 2] == 0) and np.all(grad[:, 0, 0] != 0)


@pytest.mark.parametrize('loss', [_l1, _normalised])
def test_examples_are_independent(loss):
  (one, target), (two, _) = _pair(), _pair(seed=5)
  mixed = np.concatenate([one[:1], jnp.asarray(3 * two[1:])])
  assert loss(one, target).shape == (2,)
  np.testing.assert_array_equal(loss(mixed, target)[0], loss(one, target)[0])
  assert loss(mixed, target)[1] != loss(one, target)[1]
