"""The depth net: published size, input sizes, pooling, heads and dropout."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.models.deeplens import depthnet
from depthjax.models.predictors import published


def _image(h=24, w=16, b=1):
  return np.random.default_rng(0).random((b, h, w, 3), np.float32)


def _net(**fields):
  return depthnet.DepthNet(**{'preset': 'paper', 'width': 4, **fields})


@functools.cache
def _variables():
  init = jax.jit(functools.partial(_net().init, train=False))
  return init(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))


@functools.cache
def _applied(**fields):
  return jax.jit(functools.partial(_net(**fields).apply, train=False))


def _shapes(model):
  return published.shapes(model, depthnet.STRIDE)


@pytest.mark.parametrize('preset, extra', [('release', 0), ('paper', 74_049)])
def test_the_network_has_the_published_number_of_parameters(preset, extra):
  params = _shapes(depthnet.DepthNet(preset=preset))['params']
  count = lambda tree: sum(x.size for x in jax.tree.leaves(tree))  # noqa: E731
  assert count(params) == 9_466_689 + extra
  assert count(params.get('segmentation_head', {})) == extra
  assert count(params['depth_head']) == 74_049


@pytest.mark.parametrize('size', [(8, 8), (24, 16), (8, 320)])
@pytest.mark.parametrize('preset', ['release', 'paper'])
def test_multiples_of_eight_are_accepted(size, preset):
  model = _net(preset=preset)
  apply = functools.partial(model.apply, train=False)
  outputs = jax.eval_shape(apply, _shapes(model), _image(*size))
  names = {'disparity', 'segmentation'} if preset == 'paper' else {'disparity'}
  assert outputs.keys() == names
  assert all(x.shape == (1, *size, 1) and x.dtype == jnp.float32 for x in outputs.values())


@pytest.mark.parametrize(
  'fields, message',
  [
    ({'preset': 'papr'}, "preset is 'papr'; it can be paper or release"),
    ({'input': 'bgr'}, "input is 'bgr'; it can be centred or imagenet"),
    ({'stride_on': 'first'}, "stride_on is 'first'; it can be 'last' or 'middle'"),
    ({'width': 5}, 'width is 5; it must be even'),
    ({}, 'the image is 24 x 20; height and width must be multiples of 8'),
  ],
)
def test_invalid_fields_and_sizes_are_refused(fields, message):
  image = _image(24, 16 if fields else 20)
  with pytest.raises(ValueError, match=message):
    jax.eval_shape(lambda x: _net(**fields).init(jax.random.key(0), x, False), image)


@pytest.mark.parametrize('h, w', [(16, 8), (11, 7), (3, 8), (1, 1)])
@pytest.mark.parametrize('bins', depthnet.BINS)
def test_pooling_equals_its_definition(h, w, bins):
  x = np.random.default_rng(0).normal(size=(2, h, w, 2)).astype(np.float32)
  result = np.asarray(depthnet.pool(x, bins))
  rows, columns = (
    [slice(math.floor(i * n / bins), math.ceil((i + 1) * n / bins)) for i in range(bins)]
    for n in (h, w)
  )
  for i, j in np.ndindex(bins, bins):
    expected = x[:, rows[i], columns[j]].mean(axis=(1, 2))
    np.testing.assert_allclose(result[:, i, j], expected, atol=1e-5)


def test_segmentation_is_a_probability_from_a_separate_head():
  variables = _variables()
  outputs = _applied()(variables, _image())
  assert 0 < outputs['segmentation'].min() and outputs['segmentation'].max() < 1
  params = {**variables['params']}
  params['segmentation_head'] = jax.tree.map(jnp.zeros_like, params['segmentation_head'])
  changed = _applied()({**variables, 'params': params}, _image())
  np.testing.assert_allclose(changed['segmentation'], 0.5)
  np.testing.assert_array_equal(changed['disparity'], outputs['disparity'])


def test_imagenet_input_is_normalised_by_its_mean_and_std():
  mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
  expected = _applied()(_variables(), (_image() - mean) / std + 0.5)
  result = _applied(input='imagenet')(_variables(), _image())
  np.testing.assert_allclose(result['disparity'], expected['disparity'], rtol=1e-3, atol=1e-4)


def test_bfloat16_networks_have_float32_results():
  half = _applied(dtype=jnp.bfloat16)(_variables(), _image())
  exact = _applied()(_variables(), _image())
  for name, x in half.items():
    assert x.dtype == jnp.float32
    error = np.abs(x - exact[name]).max()
    assert 1e-6 < error < 0.1 * max(1, np.abs(exact[name]).max())


@functools.cache
def _gradients(remat):
  model, image = _net(remat=remat), _image(b=2)

  def loss(params, seed):
    variables, keys = {**_variables(), 'params': params}, jax.random.split(jax.random.key(seed), 2)
    outputs, state = model.apply(variables, image, True, keys, mutable=['batch_stats'])
    return sum((x**2).mean() for x in outputs.values()), (outputs, state)

  traced = jax.jit(jax.value_and_grad(loss, has_aux=True)).trace(_variables()['params'], 1)
  step = functools.partial(traced.lower().compile(), _variables()['params'])
  return step(1), step, str(traced.jaxpr)


@pytest.mark.slow
def test_all_parameters_but_a_bias_before_a_norm_have_gradients():
  (_, grads), _, _ = _gradients(False)
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    assert np.isfinite(grad).all(), name
    assert np.any(grad) or name == 'encoder/conv1/conv/bias', name


@pytest.mark.slow
def test_both_heads_have_dropout_in_training():
  ((_, (outputs, _)), _), step, _ = _gradients(False)
  same, other = (step(seed)[0][1][0] for seed in (1, 2))
  for name, x in outputs.items():
    np.testing.assert_array_equal(same[name], x)
    assert np.abs(other[name] - x).max() > 1e-3


@pytest.mark.slow
def test_rematerialisation_changes_no_result():
  (plain, _, jaxpr), (remat, _, remat_jaxpr) = _gradients(False), _gradients(True)
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4), remat, plain)
  assert (jaxpr.count('remat'), remat_jaxpr.count('remat')) == (0, 13)
