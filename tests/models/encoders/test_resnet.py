"""The encoder's layout: what is strided, dilated, projected, and the size of the whole."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.models import layers
from depthjax.models.encoders import resnet

# Parameters of each part in the paper's width.
_COUNTS = {'conv1': 9_600, 'res2': 215_808, 'res3': 1_219_584, 'res4': 7_098_368}


@functools.cache
def _traced(width=2, **fields):
  """Shapes of variables and of what every layer returns, for an image of 64 x 48."""
  model = resnet.ResNet50(width, **fields)

  def run(x):
    variables = model.init(jax.random.key(0), x, False)
    features, state = model.apply(variables, x, False, capture_intermediates=True)
    return variables, features, state['intermediates']

  return jax.eval_shape(run, jnp.zeros((1, 64, 48, 3)))


def test_the_stages_have_the_published_numbers_of_parameters():
  params = _traced(width=64)[0]['params']
  counts = dict.fromkeys(_COUNTS, 0)
  for name, tree in params.items():
    counts[name[:4] if name != 'conv1' else name] += sum(x.size for x in jax.tree.leaves(tree))
  assert counts == _COUNTS
  assert len(params) == 14


def test_res3_halves_the_size_and_res4_does_not():
  _, features, layer = _traced()
  shapes = {name: x.shape[1:] for name, x in features.items()}
  assert shapes == {'conv1': (32, 24, 2), 'res2': (16, 12, 8), 'res4': (8, 6, 32)}
  assert layer['res2c']['__call__'][0].shape == features['res2'].shape
  assert layer['res3a']['__call__'][0].shape == (1, 8, 6, 16)


@pytest.mark.parametrize('stride_on, rows', [('last', 16), ('middle', 8)])
def test_the_stride_sits_where_it_is_put(stride_on, rows):
  variables, _, layer = _traced(stride_on=stride_on)
  strided = layer['res3a']
  sizes = {name: strided[name]['__call__'][0].shape[1] for name in ('reduce', 'conv', 'expand')}
  assert sizes == {'reduce': 16, 'conv': rows, 'expand': 8}
  # Weights of one fit the other.
  assert variables == _traced()[0]


def _block(x, **fields):
  """A block, its variables with every kernel positive, and its result."""
  block = layers.Bottleneck(8, 2, norm=functools.partial(layers.BatchNorm), **fields)
  variables = jax.jit(functools.partial(block.init, train=False))(jax.random.key(0), x)
  variables = jax.tree.map(jnp.abs, variables)
  return variables, np.asarray(jax.jit(functools.partial(block.apply, train=False))(variables, x))


@pytest.mark.parametrize('dilation', [1, 2])
def test_a_dilated_block_sees_two_pixels_away(dilation):
  spot = np.zeros((1, 9, 9, 8), np.float32)
  spot[:, 4, 4] = 1
  _, result = _block(spot, dilation=dilation)
  rows = np.unique(np.nonzero(result[0].sum(axis=-1))[0])
  assert list(rows) == [4 - dilation, 4, 4 + dilation]


def test_the_projected_shortcut_may_be_negative():
  """A rectified one could only add; published weights subtract too."""
  x = -np.ones((1, 4, 4, 3), np.float32)
  results = []
  for act in (layers.identity, jax.nn.relu):
    block = layers.Bottleneck(8, 2, project_act=act)
    variables = jax.jit(functools.partial(block.init, train=False))(jax.random.key(0), x)
    variables['params']['expand']['bn']['bias'] += 1
    variables['params']['project']['conv']['kernel'] = jnp.full((1, 1, 3, 8), 0.1)
    variables['params']['expand']['conv']['kernel'] *= 0
    results.append(np.asarray(block.apply(variables, x, False)))
  np.testing.assert_allclose(results[0], 0.7, atol=1e-4)
  np.testing.assert_allclose(results[1], 1.0, atol=1e-4)


def test_a_strided_convolution_may_be_centred_on_the_first_pixel():
  spot = np.zeros((1, 8, 8, 1), np.float32)
  spot[:, 0, 0] = 1
  for centred, tap in ((True, (3, 3)), (False, (2, 2))):
    conv = layers.ConvNorm(1, 7, 2, act=layers.identity, centred=centred)
    variables = jax.jit(functools.partial(conv.init, train=False))(jax.random.key(0), spot)
    result = np.asarray(conv.apply(variables, spot, False))
    kernel = np.asarray(variables['params']['conv']['kernel'])
    np.testing.assert_allclose(result[0, 0, 0, 0], kernel[*tap, 0, 0], rtol=1e-4)


def test_an_unknown_place_of_the_stride_is_refused():
  with pytest.raises(ValueError, match="stride_on is 'first'; it can be 'last' or 'middle'"):
    _traced(stride_on='first')
