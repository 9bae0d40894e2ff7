"""The layered network: parameters, its two layers, sizes, precision; and equal to its twin."""

import functools
import importlib
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.models import layered, layers
from depthjax.models.predictors import dpt

_TINY = {'preset': 'small', 'widths': [8, 16, 40, 16], 'depths': [1, 1, 1, 1]}
_TINY |= {'ratios': [8, 8, 4, 4], 'projection': 24, 'fusion': 8, 'drop': 0.5, 'momentum': 0.5}
_MODEL = layered.network(_TINY)


def _maps(seed, shape, batch=2):
  """Photographs, disparities, and masks of values m with exact 1 - m."""
  rng = np.random.default_rng(seed)
  image, disparity = (rng.random((batch, *shape, n), np.float32) for n in (3, 1))
  return image, disparity, rng.integers(0, 257, disparity.shape).astype(np.float32) / 256


@pytest.fixture(scope='module', name='variables')
def fixture_variables():
  """Variables without zeros, so that each of them affects the result."""
  variables = jax.jit(functools.partial(layered.initial, _MODEL))()
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda x: x + 0.1 * rng.standard_normal(x.shape, np.float32), variables)


@pytest.mark.parametrize(
  'preset, parameters',
  [('mit_b3', 61_371_457), ('pvtv2_b3', 62_131_777), ('small', 4_825_985)],
)
def test_presets_have_the_parameters_of_the_specification(preset, parameters):
  model = layered.network({'preset': preset})
  shapes = jax.eval_shape(functools.partial(layered.initial, model))
  assert sum(x.size for x in jax.tree.leaves(shapes['params'])) == parameters


def test_unknown_presets_and_attributes_are_refused():
  for fields in ({'preset': 'large'}, {**_TINY, 'widht': 3}):
    with pytest.raises((KeyError, TypeError), match='large|widht'):
      layered.network(fields)


def test_the_complement_of_the_mask_swaps_the_layers(variables):
  image, disparity, mask = _maps(0, (64, 96))
  apply = jax.jit(_MODEL.apply)
  front, behind = apply(variables, image, disparity, mask)
  assert front.shape == behind.shape == (2, 64, 96, 1) and front.dtype == jnp.float32
  assert np.abs(front - behind).max() > 0.01 * np.ptp(front)
  swapped = apply(variables, image, disparity, 1 - mask)
  jax.tree.map(np.testing.assert_array_equal, swapped, (behind, front))


@pytest.mark.parametrize('shape', [(32, 160), (96, 32)])
def test_any_multiples_of_32_are_accepted(shape):
  shapes = jax.eval_shape(functools.partial(layered.initial, _MODEL))
  layers = jax.eval_shape(_MODEL.apply, shapes, *_maps(0, shape))
  assert [x.shape for x in layers] == [(2, *shape, 1)] * 2


@pytest.mark.parametrize('shape', [(48, 64), (64, 100), (0, 32)])
def test_other_sizes_are_refused(shape):
  with pytest.raises(ValueError, match=f'is {shape[0]} x {shape[1]}; .* multiples of 32'):
    jax.eval_shape(_MODEL.init, jax.random.key(0), *_maps(0, shape))


@pytest.mark.slow
def test_precision_and_rematerialisation_change_only_rounding(variables):
  inputs = *_maps(1, (32, 64)), True, jax.random.split(jax.random.key(0), 2)

  def loss(variables, **fields):
    model = layered.network({**_TINY, **fields})
    outputs, _ = model.apply(variables, *inputs, mutable='batch_stats')
    assert all(x.dtype == jnp.float32 for x in outputs)
    return sum(jnp.square(x).mean() for x in outputs)

  plain = jax.jit(jax.value_and_grad(loss))(variables)
  remat = jax.jit(jax.value_and_grad(functools.partial(loss, remat=True)))(variables)
  close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5 * float(plain[0]))
  jax.tree.map(close, remat, plain)
  half = jax.jit(functools.partial(loss, dtype='bfloat16'))(variables)
  assert 1e-4 < abs(half / plain[0] - 1) < 0.1


def test_in_training_branches_are_dropped_and_statistics_are_of_all_devices(variables):
  maps, keys = _maps(2, (32, 64)), jax.random.split(jax.random.key(1), 2)

  def train(axis_name, *inputs):
    model = layered.network(_TINY, axis_name=axis_name)
    return model.apply(variables, *inputs, mutable='batch_stats')

  inputs = *maps, True, keys
  whole = jax.jit(functools.partial(train, None), static_argnums=3)(*inputs)
  plain = jax.jit(functools.partial(train, None), static_argnums=3)(*maps, True)
  assert not np.allclose(whole[0][0], plain[0][0], rtol=0.01)
  # Each example on a device of its own.
  by_device = jax.vmap(functools.partial(train, 'batch'), (0, 0, 0, None, 0), axis_name='batch')
  inputs = *(x[:, None] for x in maps), True, keys[:, None]
  layers, state = jax.jit(by_device, static_argnums=3)(*inputs)
  close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
  jax.tree.map(lambda x, y: close(x[:, 0], y), layers, whole[0])
  jax.tree.map(lambda x, y: close(x[0], y), state, whole[1])
  assert not np.allclose(jax.tree.leaves(state)[0][0], jax.tree.leaves(variables['batch_stats'])[0])


def test_the_head_is_that_of_dpt_without_the_enlarged_map():
  """At the border too, where the interpolation repeats pixels and the convolution has zeros."""
  rng, model = np.random.default_rng(0), layered.Head(4)
  x = rng.standard_normal((2, 5, 3, 6)).astype(np.float32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), x)
  variables = jax.tree.map(lambda y: rng.standard_normal(y.shape).astype(np.float32), shapes)
  enlarge = lambda y, shape: layers.resize(jax.nn.relu(y), shape)  # noqa: E731
  direct = dpt.Head(4, enlarge, jax.nn.identity).apply(variables, x, (10, 6))
  np.testing.assert_allclose(model.apply(variables, x), direct, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('size', [1, 16])
def test_projections_are_a_linear_layer_and_a_convolution(size):
  """With the zeros around the linear layer's output."""
  rng, model = np.random.default_rng(0), layered.Projection(6, 4)
  x = rng.standard_normal((1, size, size + 1, 3)).astype(np.float32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), x)['params']
  params = {name: rng.standard_normal(y.shape).astype(np.float32) for name, y in shapes.items()}
  y = np.pad(x @ params['linear_kernel'] + params['linear_bias'], ((0, 0), (1, 1), (1, 1), (0, 0)))
  expected = params['conv_bias'] + sum(
    y[:, i : i + size, j : j + size + 1] @ params['conv_kernel'][i, j]
    for i in range(3)
    for j in range(3)
  )
  result = model.apply({'params': params}, x)
  np.testing.assert_allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize(
  'fields, shape',
  [(_TINY, (64, 96)), pytest.param({'preset': 'small'}, (128, 64), marks=pytest.mark.slow)],
)
def test_layers_equal_those_of_pytorch(fields, shape, monkeypatch):
  torch = pytest.importorskip('torch', reason="torch is in the extra 'parity'")
  monkeypatch.syspath_prepend(str(pathlib.Path(__file__).parents[2] / 'benchmarks'))
  twin, model = importlib.import_module('layered_twin'), layered.network(fields)
  apply = jax.jit(model.apply)
  for seed in range(2):
    net, variables = twin.random(model, seed)
    maps = _maps(seed, shape)
    theirs = net(*(torch.tensor(np.moveaxis(x, -1, 1).copy()) for x in maps))
    for a, b in zip(apply(variables, *maps), theirs, strict=True):
      b = np.moveaxis(b.numpy(), 1, -1)
      assert b.std() > 0.1, 'nearly constant, so the comparison is weak'
      np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())
