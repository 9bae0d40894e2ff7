"""The depth net: its size in the paper, any size of photograph, pooling and dropout."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.models import layers
from depthjax.models.deeplens import depthnet

_H, _W = 24, 16


def _image(h=_H, w=_W, b=1, seed=0):
  return np.random.default_rng(seed).random((b, h, w, 3), np.float32)


def _net(**fields):
  return depthnet.DepthNet(**{'preset': 'paper', 'width': 4, **fields})


@functools.cache
def _fresh(**fields):
  """A tiny network and its fresh variables."""
  model = _net(**fields)
  init = jax.jit(functools.partial(model.init, train=False))
  return model, init(jax.random.key(0), _image())


@functools.cache
def _applied(**fields):
  return jax.jit(functools.partial(_net(**fields).apply, train=False))


def _shapes(model, image=None):
  init = functools.partial(model.init, train=False)
  return jax.eval_shape(init, jax.random.key(0), _image() if image is None else image)


def _count(tree):
  return sum(x.size for x in jax.tree.leaves(tree))


@pytest.mark.parametrize('preset, extra', [('release', 0), ('paper', 74_049)])
def test_the_network_has_the_published_number_of_parameters(preset, extra):
  params = _shapes(depthnet.DepthNet(preset=preset))['params']
  assert _count(params) == 9_466_689 + extra
  assert _count(params.get('segmentation_head', {})) == extra
  assert _count(params['depth_head']) == 74_049


def test_width_scales_all_of_it():
  for wide, narrow in zip(*(jax.tree.leaves(_shapes(_net(width=w))) for w in (8, 4)), strict=True):
    for a, b in zip(wide.shape, narrow.shape, strict=True):
      assert a == 2 * b or a == b and b in (1, 3, 7)


@pytest.mark.parametrize('size', [(8, 8), (24, 16), (320, 320), (8, 320)])
@pytest.mark.parametrize('preset', ['release', 'paper'])
def test_sizes_that_eight_divides_run(size, preset):
  model = _net(preset=preset)
  apply = functools.partial(model.apply, train=False)
  outputs = jax.eval_shape(apply, _shapes(model), _image(*size))
  names = {'disparity', 'segmentation'} if preset == 'paper' else {'disparity'}
  assert outputs.keys() == names
  assert all(x.shape == (1, *size, 1) and x.dtype == jnp.float32 for x in outputs.values())


def test_other_sizes_are_refused():
  with pytest.raises(ValueError, match='the image is 24 x 20; height and width must be multiples'):
    _shapes(_net(), _image(24, 20))


@pytest.mark.parametrize(
  'fields, message',
  [
    ({'preset': 'papr'}, "preset is 'papr'; it can be paper or release"),
    ({'input': 'bgr'}, "input is 'bgr'; it can be centred or imagenet"),
    ({'stride_on': 'first'}, "stride_on is 'first'; it can be last or middle"),
    ({'width': 5}, 'width is 5; it must be even'),
  ],
)
def test_impossible_networks_are_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    _shapes(_net(**fields))


@pytest.mark.parametrize('bins', depthnet.BINS)
def test_pooling_at_320_is_the_mean_of_windows_that_touch(bins):
  x = np.random.default_rng(0).normal(size=(2, 40, 40, 3)).astype(np.float32)
  window = 40 // bins
  expected = x.reshape(2, bins, window, bins, window, 3).mean(axis=(2, 4))
  np.testing.assert_allclose(depthnet.pool(x, bins), expected, atol=1e-5)


@pytest.mark.parametrize('h, w', [(11, 7), (3, 8), (1, 1)])
@pytest.mark.parametrize('bins', depthnet.BINS)
def test_pooling_of_any_size_equals_its_slow_twin(h, w, bins):
  x = np.random.default_rng(0).normal(size=(1, h, w, 2)).astype(np.float32)
  result = np.asarray(depthnet.pool(x, bins))
  for i in range(bins):
    for j in range(bins):
      rows = slice(int(np.floor(i * h / bins)), int(np.ceil((i + 1) * h / bins)))
      columns = slice(int(np.floor(j * w / bins)), int(np.ceil((j + 1) * w / bins)))
      expected = x[0, rows, columns].mean(axis=(0, 1))
      np.testing.assert_allclose(result[0, i, j], expected, atol=1e-5)


def test_the_segmentation_is_a_probability_and_of_its_own_head():
  _, variables = _fresh()
  outputs = _applied()(variables, _image())
  assert 0 < outputs['segmentation'].min() and outputs['segmentation'].max() < 1
  params = {**variables['params']}
  params['segmentation_head'] = jax.tree.map(jnp.zeros_like, params['segmentation_head'])
  changed = _applied()({**variables, 'params': params}, _image())
  np.testing.assert_allclose(changed['segmentation'], 0.5)
  np.testing.assert_array_equal(changed['disparity'], outputs['disparity'])


def test_an_imagenet_encoder_gets_the_input_it_was_trained_with():
  """The same network, told the photograph in the other form."""
  _, variables = _fresh()
  mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
  image = _image()
  expected = _applied()(variables, (image - mean) / deviation + 0.5)
  result = _applied(input='imagenet')(variables, image)
  np.testing.assert_allclose(result['disparity'], expected['disparity'], rtol=1e-3, atol=1e-4)


def test_half_precision_inside_is_float32_outside():
  _, variables = _fresh()
  half = _applied(dtype=jnp.bfloat16)(variables, _image())
  exact = _applied()(variables, _image())
  for name, x in half.items():
    assert x.dtype == jnp.float32
    error = np.abs(x - exact[name]).max()
    assert 1e-6 < error < 0.1 * max(1, np.abs(exact[name]).max())


def test_dropout_is_the_share_it_says_and_each_examples_own():
  keys = jax.random.split(jax.random.key(0), 3)
  x = jnp.ones((3, 40, 40, 4))
  result = np.asarray(layers.dropout(keys, x, 0.25))
  np.testing.assert_allclose((result == 0).mean(axis=(1, 2, 3)), 0.25, atol=0.03)
  np.testing.assert_allclose(result[result > 0], 1 / 0.75, rtol=1e-6)
  assert (result[0] != result[1]).any()
  swapped = np.asarray(layers.dropout(keys[::-1], x, 0.25))
  np.testing.assert_array_equal(swapped, result[::-1])


@functools.cache
def _gradients(remat):
  model, variables = _net(remat=remat), _fresh()[1]
  image = _image(b=2)
  keys = jax.random.split(jax.random.key(1), 2)

  def loss(params, keys):
    tree = {**variables, 'params': params}
    outputs, state = model.apply(tree, image, True, keys, mutable=['batch_stats'])
    return sum((x**2).mean() for x in outputs.values()), (outputs, state)

  step = jax.jit(jax.value_and_grad(loss, has_aux=True))
  traced = step.trace(variables['params'], keys)
  compiled = traced.lower().compile()
  return compiled(variables['params'], keys), compiled, str(traced.jaxpr)


@pytest.mark.slow
def test_gradients_reach_every_parameter_but_a_bias_before_a_norm():
  (_, grads), _, _ = _gradients(False)
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    assert np.isfinite(grad).all(), name
    assert np.any(grad) or name == 'encoder/conv1/conv/bias', name


@pytest.mark.slow
def test_dropout_is_in_both_heads_in_training_alone():
  _, compiled, _ = _gradients(False)
  params = _fresh()[1]['params']
  results = [
    compiled(params, jax.random.split(jax.random.key(seed), 2))[0][1][0] for seed in (1, 1, 2)
  ]
  for name in ('disparity', 'segmentation'):
    a, b, c = (np.asarray(result[name]) for result in results)
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 1e-3


@pytest.mark.slow
def test_recomputing_blocks_changes_nothing():
  (kept, _, jaxpr), (recomputed, _, recomputing) = _gradients(False), _gradients(True)
  close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
  jax.tree.map(close, recomputed, kept)
  assert (jaxpr.count('remat'), recomputing.count('remat')) == (0, 13)
