"""Batch normalisation against Flax's, its renormalisation, mixing weights, and resizing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.special
from flax import linen as nn

from depthjax.models import layers

_X = np.random.default_rng(0).normal(3, 2, (4, 5, 6, 3)).astype(np.float32)


def _run(norm, x, train, variables=None):
  variables = variables or norm.init(jax.random.key(0), x, train)
  return norm.apply(variables, x, train, mutable=['batch_stats'])


@pytest.fixture(scope='module', name='settled')
def fixture_settled():
  """A norm with renormalisation, and its variables after many steps on one batch."""
  norm = layers.BatchNorm(momentum=0.9, renorm=True)
  variables = norm.init(jax.random.key(0), _X, True)
  for _ in range(200):
    _, state = norm.apply(variables, _X, True, mutable=['batch_stats'])
    variables = {**variables, **state}
  return norm, variables


@pytest.mark.parametrize('train', [True, False])
def test_batch_norm_equals_flax(train):
  ours, state = _run(layers.BatchNorm(momentum=0.9), _X, train)
  twin = nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, use_fast_variance=False)
  theirs = twin.apply(twin.init(jax.random.key(0), _X), _X, mutable=['batch_stats'])
  close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
  jax.tree.map(close, (ours, state), theirs)


def test_renormalised_training_equals_evaluation(settled):
  norm, variables = settled
  other = 1.3 * _X - 0.5
  training, _ = _run(norm, other, True, variables)
  evaluation, _ = _run(norm, other, False, variables)
  np.testing.assert_allclose(training, evaluation, atol=1e-4)
  plain, _ = _run(layers.BatchNorm(), other, True, variables)
  assert np.abs(plain - evaluation).max() > 0.1


def test_renormalisation_scales_the_gradient_of_batch_norm(settled):
  """The correction is a constant: y = r y' + d has the gradient of r y'."""
  norm, variables = settled
  weights = np.random.default_rng(1).normal(size=_X.shape).astype(np.float32)

  def gradient(norm):
    return jax.grad(lambda x: (weights * _run(norm, x, True, variables)[0]).sum())(1.5 * _X)

  np.testing.assert_allclose(gradient(norm), 1.5 * gradient(layers.BatchNorm()), 2e-2, 1e-4)


def test_the_correction_of_renormalisation_is_clipped():
  """With initial statistics, a batch is still brought near zero mean and unit variance."""
  y, _ = _run(layers.BatchNorm(renorm=True), 100 * _X, True)
  assert np.abs(y.mean(axis=(0, 1, 2))).max() < 5.01 and 2.9 < y.std() < 3.1


def test_bfloat16_batch_norm_has_float32_statistics():
  y, state = _run(layers.BatchNorm(dtype=jnp.bfloat16), _X.astype(jnp.bfloat16), True)
  assert y.dtype == jnp.bfloat16
  assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(state))


def test_statistics_are_averaged_over_a_pmap_axis():
  """The variables are initialised outside the pmap."""
  norm = layers.BatchNorm(axis_name='devices')
  variables = norm.init(jax.random.key(0), _X, True)
  apply = jax.pmap(lambda x: _run(norm, x, True, variables)[0], axis_name='devices')
  parts = _X.reshape(2, 2, *_X.shape[1:])
  expected, _ = _run(layers.BatchNorm(), _X, True, variables)
  np.testing.assert_allclose(apply(parts).reshape(_X.shape), expected, atol=1e-4)


@pytest.mark.parametrize('threshold', [0.0, 0.25])
def test_corrections_of_weights_are_soft_thresholded(threshold):
  """Corrections of -0.6 to 0.6 of a prior of 0.5, with factors 1 and 0.5."""
  learned = np.linspace(-0.6, 0.6, 13, dtype=np.float32)
  factor = np.float32([1, 0.5])[:, None]
  module = layers.Weights(1, 1, lambda: (0.5, factor[None, :, None]), threshold=threshold)
  params = {'conv': {'kernel': np.ones((1, 1, 1, 1), np.float32), 'bias': np.zeros(1, np.float32)}}
  result = module.apply({'params': params}, np.tile(learned[:, None], (1, 2, 1, 1)))[0, ..., 0]
  soft = np.sign(learned) * np.maximum(np.abs(learned) - threshold, 0)
  np.testing.assert_allclose(result, np.maximum(0.5 + factor * soft, 0), atol=1e-6)


@pytest.mark.parametrize('shape', [(1, 1), (5, 1), (4, 7)])
def test_resize_to_twice_the_size_equals_jax_image(shape):
  x = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype(np.float32)
  h, w = (2 * n for n in shape)
  expected = jax.image.resize(x, (2, h, w, 3), method='bilinear', antialias=False)
  result = layers.resize(x, (h, w))
  np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize('padding, mode', [('symmetric', 'reflect'), ('edge', 'nearest')])
def test_padded_convolution_equals_scipy(padding, mode):
  image = np.random.default_rng(0).normal(size=(1, 7, 6, 1)).astype(np.float32)
  conv = layers.PaddedConv(1, 5, padding)
  variables = jax.jit(conv.init)(jax.random.key(0), image)
  kernel = np.asarray(variables['params']['conv']['kernel'])[..., 0, 0]
  expected = scipy.ndimage.correlate(image[0, ..., 0], kernel, mode=mode)
  result = np.asarray(jax.jit(conv.apply)(variables, image))[0, ..., 0]
  np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('centred, tap', [(True, (3, 3)), (False, (2, 2))])
def test_a_centred_convolution_has_its_first_output_on_the_first_pixel(centred, tap):
  spot = np.zeros((1, 8, 8, 1), np.float32)
  spot[:, 0, 0] = 1
  conv = layers.ConvNorm(1, 7, 2, act=jax.nn.identity, centred=centred)
  result, variables = conv.init_with_output(jax.random.key(0), spot, False)
  kernel = np.asarray(variables['params']['conv']['kernel'])
  np.testing.assert_allclose(result[0, 0, 0, 0], kernel[*tap, 0, 0], rtol=1e-4)


def test_dropout_has_its_rate_and_a_key_for_each_example():
  keys = jax.random.split(jax.random.key(0), 3)
  x = jnp.ones((3, 40, 40, 4))
  result = np.asarray(layers.dropout(keys, x, 0.25))
  np.testing.assert_allclose((result == 0).mean(axis=(1, 2, 3)), 0.25, atol=0.03)
  np.testing.assert_allclose(result[result > 0], 1 / 0.75, rtol=1e-6)
  assert (result[0] != result[1]).any()
  np.testing.assert_array_equal(layers.dropout(keys[::-1], x, 0.25), result[::-1])


@pytest.mark.parametrize('dtype, tolerance', [('float32', 1e-5), ('bfloat16', 0.05)])
def test_attention_equals_softmax_of_products(dtype, tolerance):
  rng = np.random.default_rng(0)
  q, k, v = (rng.standard_normal((2, n, 3, 8)).astype(np.float32) for n in (5, 7, 7))
  q *= 30  # Large logits.
  logits = np.einsum('bnhd,bmhd->bhnm', q, k) / np.sqrt(8)
  expected = np.einsum('bhnm,bmhd->bnhd', scipy.special.softmax(logits, -1), v)
  arrays = [jnp.asarray(x, dtype) for x in (q, k, v)]
  if dtype == 'bfloat16':
    arrays[0] = arrays[0] / 30  # Else rounding changes which of two keys has all weight.
    logits = logits / 30
    expected = np.einsum('bnhm,bmhd->bnhd', np.swapaxes(scipy.special.softmax(logits, -1), 1, 2), v)
  result = jax.jit(layers.attend)(*arrays)
  assert result.dtype == dtype
  np.testing.assert_allclose(result.astype(np.float32), expected, atol=tolerance)
