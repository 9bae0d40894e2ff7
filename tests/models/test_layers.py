"""Batch normalisation against Flax's own, its renormalisation, and weights that stay zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from depthjax.models import layers

_X = np.random.default_rng(0).normal(3, 2, (4, 5, 6, 3)).astype(np.float32)


def _run(norm, x, train, variables=None):
  variables = variables or norm.init(jax.random.key(0), x, train)
  return norm.apply(variables, x, train, mutable=['batch_stats'])


def _settled(momentum=0.9, **fields):
  """A norm and its variables after the same batch many times over."""
  norm = layers.BatchNorm(momentum=momentum, **fields)
  variables = norm.init(jax.random.key(0), _X, True)
  for _ in range(200):
    _, state = norm.apply(variables, _X, True, mutable=['batch_stats'])
    variables = {**variables, **state}
  return norm, variables


@pytest.mark.parametrize('train', [True, False])
def test_it_is_the_batch_norm_of_flax(train):
  ours, state = _run(layers.BatchNorm(momentum=0.9), _X, train)
  twin = nn.BatchNorm(
    use_running_average=not train, momentum=0.9, epsilon=1e-5, use_fast_variance=False
  )
  expected, twin_state = twin.apply(twin.init(jax.random.key(0), _X), _X, mutable=['batch_stats'])
  np.testing.assert_allclose(ours, expected, atol=1e-5)
  for name in ('mean', 'var'):
    np.testing.assert_allclose(
      state['batch_stats'][name], twin_state['batch_stats'][name], rtol=1e-5
    )


def test_initialising_leaves_the_statistics_alone():
  stats = layers.BatchNorm().init(jax.random.key(0), _X, True)['batch_stats']
  np.testing.assert_array_equal(stats['mean'], 0)
  np.testing.assert_array_equal(stats['var'], 1)


def test_renormalised_training_sees_what_evaluation_sees():
  norm, variables = _settled(renorm=True)
  other = 1.3 * _X - 0.5
  training, _ = _run(norm, other, True, variables)
  evaluation, _ = _run(norm, other, False, variables)
  np.testing.assert_allclose(training, evaluation, atol=1e-4)
  plain, _ = _run(layers.BatchNorm(), other, True, variables)
  assert np.abs(plain - evaluation).max() > 0.1


def test_the_gradient_of_renormalisation_is_that_of_a_batch_scaled():
  """The correction is a constant: y = r y' + d has the gradient of r y'."""
  norm, variables = _settled(renorm=True)
  x = jnp.asarray(1.5 * _X)
  weights = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)

  def total(norm, x):
    return (weights * _run(norm, x, True, variables)[0]).sum()

  ours = jax.grad(lambda x: total(norm, x))(x)
  plain = jax.grad(lambda x: total(layers.BatchNorm(), x))(x)
  np.testing.assert_allclose(ours, 1.5 * plain, rtol=2e-2, atol=1e-4)


def test_the_correction_is_limited():
  """Fresh statistics know nothing yet: a batch is brought near zero mean and unit variance."""
  y, _ = _run(layers.BatchNorm(renorm=True), 100 * _X, True)
  assert np.abs(y.mean(axis=(0, 1, 2))).max() < 5.01 and 2.9 < y.std() < 3.1


def test_half_precision_keeps_its_statistics_in_single():
  y, state = _run(layers.BatchNorm(dtype=jnp.bfloat16), _X.astype(jnp.bfloat16), True)
  assert y.dtype == jnp.bfloat16
  assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(state))


def test_variables_are_made_without_the_axis_that_the_statistics_are_averaged_over():
  norm = layers.BatchNorm(axis_name='devices')
  variables = norm.init(jax.random.key(0), _X, True)
  apply = jax.pmap(lambda x: _run(norm, x, True, variables)[0], axis_name='devices')
  parts = _X.reshape(2, 2, *_X.shape[1:])
  expected, _ = _run(layers.BatchNorm(), _X, True, variables)
  np.testing.assert_allclose(apply(parts).reshape(_X.shape), expected, atol=1e-4)


@pytest.mark.parametrize('threshold', [0.0, 0.25])
def test_what_is_learned_changes_a_weight_as_far_as_it_exceeds_the_threshold(threshold):
  """Learned values of -0.6 to 0.6 on a start of 0.5, half of it in reach; no weight is negative."""
  learned = np.linspace(-0.6, 0.6, 13, dtype=np.float32)
  factor = np.array([1, 0.5], np.float32)[:, None]
  module = layers.Weights(1, 1, lambda: (0.5, factor[None, :, None]), threshold=threshold)
  params = {'conv': {'kernel': np.ones((1, 1, 1, 1), np.float32), 'bias': np.zeros(1, np.float32)}}
  y = np.broadcast_to(learned, (1, 2, 13))[..., None]
  result = module.apply({'params': params}, y)[0, ..., 0]
  beyond = np.sign(learned) * np.maximum(np.abs(learned) - threshold, 0)
  np.testing.assert_allclose(result, np.maximum(0.5 + factor * beyond, 0), atol=1e-6)


@pytest.mark.parametrize('shape', [(1, 1), (5, 1), (4, 7)])
def test_doubling_is_the_resize_of_jax(shape):
  x = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype(np.float32)
  h, w = (2 * n for n in shape)
  expected = jax.image.resize(x, (2, h, w, 3), method='bilinear', antialias=False)
  result = jax.jit(layers.resize, static_argnums=1)(x, (h, w))
  np.testing.assert_allclose(result, expected, atol=1e-6)
