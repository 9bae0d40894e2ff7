"""Mix Transformer: published sizes, feature sizes and stochastic depth."""

import jax
import numpy as np
import pytest

from depthjax.models.encoders import mit


@pytest.mark.parametrize(
  'kind, size, millions', [('mit', 'b0', 3.4), ('mit', 'b3', 44.0), ('pvtv2', 'b3', 44.7)]
)
def test_sizes_have_the_published_numbers_of_parameters(kind, size, millions):
  """Of the encoders for RGB; Xie et al. (NeurIPS 2021), table 6; PVTv2's without its classifier."""
  init = mit.MixTransformer(*mit.SIZES[size], ratios=mit.RATIOS[kind]).init
  shapes = jax.eval_shape(init, jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))
  assert abs(sum(x.size for x in jax.tree.leaves(shapes)) / 1e6 - millions) < 0.3


@pytest.fixture(scope='module')
def tiny():
  model = mit.MixTransformer((4, 8, 10, 8), (1, 1, 1, 1), drop=0.5)
  x = np.random.default_rng(0).random((2, 64, 96, 3)).astype(np.float32)
  return model, jax.jit(model.init)(jax.random.key(0), x), x


def test_features_are_at_a_quarter_to_a_32nd_of_the_size(tiny):
  model, variables, x = tiny
  shapes = [y.shape for y in jax.eval_shape(model.apply, variables, x)]
  assert shapes == [(2, 16, 24, 4), (2, 8, 12, 8), (2, 4, 6, 10), (2, 2, 3, 8)]


def test_branches_are_dropped_by_the_keys_of_the_examples(tiny):
  model, variables, x = tiny
  apply = jax.jit(lambda keys: model.apply(variables, x, keys)[-1])
  full = np.asarray(jax.jit(lambda: model.apply(variables, x)[-1])())
  keys = jax.random.split(jax.random.key(1), 8)
  results = [np.asarray(apply(keys[i : i + 2])) for i in range(0, 8, 2)]
  assert all(np.isfinite(y).all() and not np.allclose(y, full) for y in results)
  # An example's key alone decides, not the rest of the batch.
  mixed = apply(keys[np.array([0, 3])])
  np.testing.assert_allclose(mixed, [results[0][0], results[1][1]], atol=1e-5)


def test_tokens_of_a_second_first_stage_are_added_before_the_norm(tiny):
  model, _, x = tiny
  other = np.random.default_rng(1).random((2, 64, 96, 4)).astype(np.float32)
  params = jax.jit(model.init)(jax.random.key(0), x, None, other)['params']
  features = jax.jit(model.apply)({'params': params}, x, None, other)
  stage = mit.Stage(0, 4, 1, 4, 1, 8, (0.0,))
  tokens = stage.apply({'params': params}, x) + stage.apply({'params': params['second']}, other)
  centred = tokens - tokens.mean(-1, keepdims=True)
  norm = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
  np.testing.assert_allclose(features[0], norm, atol=1e-4)
