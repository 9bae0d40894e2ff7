"""The published networks: parameters, sizes, precision; and equal to those of transformers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.convert import published as convert
from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors import published
from tests.models.predictors import twins

TINY = {'network': 'depth_anything', 'size': 'tiny', 'version': 2, 'max_depth': 0.0}
_SMALL_DPT = {'network': 'dpt', 'width': 32, 'heads': 2, 'taps': (0, 1, 2, 3), 'fusion': 8}
_SMALL_DPT |= {'widths': (8, 8, 16, 16)}


def _anything(size, version=2, max_depth=0.0):
  return {**TINY, 'size': size, 'version': version, 'max_depth': max_depth}


@functools.cache
def _variables(**fields):
  predictor = published.describe(fields)
  image = jnp.zeros((1, predictor.multiple, predictor.multiple, 3))
  return jax.device_get(jax.jit(predictor.network.init)(jax.random.key(0), image))


@pytest.mark.parametrize(
  'fields, parameters',
  [
    ({'network': 'dpt'}, 341_848_257),
    (_anything('small'), 24_710_849),
    (_anything('base'), 97_174_849),
    (_anything('large', version=1), 334_134_465),
    ({'network': 'midas'}, 104_182_785),
  ],
)
def test_networks_have_the_parameters_that_reach_the_output(fields, parameters):
  predictor = published.describe(fields)
  shapes = published.shapes(predictor.network, predictor.multiple)
  assert sum(x.size for x in jax.tree.leaves(shapes['params'])) == parameters


@pytest.mark.parametrize('shape', [(14, 42), (70, 28)])
def test_any_multiples_of_the_patch_are_accepted_and_others_refused(shape):
  predictor, variables = published.describe(TINY), _variables(**TINY)
  image = np.random.default_rng(0).random((2, *shape, 3), np.float32)
  output = jax.jit(functools.partial(predictors.output, predictor))(variables, image)
  assert output.shape == (2, *shape, 1) and output.dtype == np.float32
  with pytest.raises(
    ValueError, match=f'the image is {shape[0]} x 15; both must be multiples of 14'
  ):
    predictors.output(predictor, variables, np.zeros((1, shape[0], 15, 3)))


@pytest.mark.slow
def test_precision_and_rematerialisation_change_only_rounding():
  image = np.random.default_rng(0).standard_normal((1, 28, 28, 3)).astype(np.float32)
  variables = _variables(**TINY)

  def loss(variables, **fields):
    output = published.network({**TINY, **fields}).apply(variables, image)
    assert output.dtype == jnp.float32
    return jnp.square(output).mean()

  plain = jax.jit(jax.value_and_grad(loss))(variables)
  remat = jax.jit(jax.value_and_grad(functools.partial(loss, remat=True)))(variables)
  jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), remat, plain)
  half = jax.jit(functools.partial(loss, dtype='bfloat16'))(variables)
  assert 0 < abs(half - plain[0]) < 0.1 * plain[0]


def test_metric_networks_return_depth_up_to_their_limit():
  predictor = published.describe(_anything('tiny', max_depth=20.0))
  assert (predictor.output, predictor.metric) == ('depth', True)
  output = predictors.output(predictor, _variables(**TINY), np.zeros((1, 14, 14, 3), np.float32))
  assert 0 < output.min() and output.max() < 20


@pytest.mark.parametrize(
  'fields',
  [{'network': 'zoe'}, _anything('huge'), _anything('tiny', version=3), {**TINY, 'widht': 3}],
)
def test_unknown_networks_are_refused(fields):
  with pytest.raises((KeyError, TypeError)):
    predictor = published.describe(fields)
    published.shapes(predictor.network, predictor.multiple)


@pytest.mark.parametrize('seed', [0, 1])
@pytest.mark.parametrize(
  'fields, shape',
  [
    (TINY, (518, 518)),
    (TINY, (266, 350)),
    (_anything('tiny', version=1, max_depth=80.0), (70, 98)),
    (_SMALL_DPT, (384, 384)),
    ({'network': 'midas', 'width': 16}, (64, 96)),
  ],
)
def test_outputs_equal_those_of_pytorch(fields, shape, seed):
  tensors, twin = twins.load().make(fields, seed)
  image = np.random.default_rng(seed).standard_normal((2, *shape, 3)).astype(np.float32)
  expected = twin(image)
  variables = convert.convert(tensors, fields, 'twin')
  network = published.network(fields)
  result = jax.jit(functools.partial(network.apply, method='predict'))(variables, image)[..., 0]
  assert np.ptp(expected) > 0.1
  np.testing.assert_allclose(result, expected, atol=1e-4 * np.ptp(expected))
