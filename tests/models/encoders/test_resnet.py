"""The ResNet encoder: sizes, strides, dilation and shortcuts."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.models import layers
from depthjax.models.encoders import resnet


@functools.cache
def _traced(width=2, **fields):
  """Shapes of variables, features and the outputs of all layers, for an image of 64 x 48."""
  model = resnet.ResNet50(width, **fields)

  def run(x):
    variables = model.init(jax.random.key(0), x, False)
    features, state = model.apply(variables, x, False, capture_intermediates=True)
    return variables, features, state['intermediates']

  return jax.eval_shape(run, jnp.zeros((1, 64, 48, 3)))


def test_stages_have_the_published_numbers_of_parameters():
  params, counts = _traced(width=64)[0]['params'], collections.Counter()
  for name, tree in params.items():
    counts[name[:4]] += sum(x.size for x in jax.tree.leaves(tree))
  assert counts == {'conv': 9_600, 'res2': 215_808, 'res3': 1_219_584, 'res4': 7_098_368}
  assert len(params) == 14


def test_res3_halves_the_size_and_res4_does_not():
  _, features, layer = _traced()
  shapes = {name: x.shape[1:] for name, x in features.items()}
  assert shapes == {'conv1': (32, 24, 2), 'res2': (16, 12, 8), 'res4': (8, 6, 32)}
  assert layer['res2c']['__call__'][0].shape == features['res2'].shape
  assert layer['res3a']['__call__'][0].shape == (1, 8, 6, 16)


@pytest.mark.parametrize('stride_on, rows', [('last', 16), ('middle', 8)])
def test_stride_on_selects_the_strided_convolution(stride_on, rows):
  variables, _, layer = _traced(stride_on=stride_on)
  strided = layer['res3a']
  sizes = {name: strided[name]['__call__'][0].shape[1] for name in ('reduce', 'conv', 'expand')}
  assert sizes == {'reduce': 16, 'conv': rows, 'expand': 8}
  assert variables == _traced()[0]


@pytest.mark.parametrize('dilation', [1, 2])
def test_a_dilated_block_reads_pixels_at_that_distance(dilation):
  spot = np.zeros((1, 9, 9, 8), np.float32)
  spot[:, 4, 4] = 1
  block = layers.Bottleneck(8, 2, dilation=dilation)
  variables = jax.tree.map(jnp.abs, block.init(jax.random.key(0), spot, False))
  result = np.asarray(block.apply(variables, spot, False))
  rows = np.unique(np.nonzero(result[0].sum(axis=-1))[0])
  assert list(rows) == [4 - dilation, 4, 4 + dilation]


@pytest.mark.parametrize('act, expected', [(jax.nn.identity, 0.7), (jax.nn.relu, 1.0)])
def test_the_projected_shortcut_can_be_negative(act, expected):
  x = -np.ones((1, 4, 4, 3), np.float32)
  block = layers.Bottleneck(8, 2, project_act=act)
  variables = block.init(jax.random.key(0), x, False)
  variables['params']['expand']['bn']['bias'] += 1
  variables['params']['project']['conv']['kernel'] = jnp.full((1, 1, 3, 8), 0.1)
  variables['params']['expand']['conv']['kernel'] *= 0
  np.testing.assert_allclose(block.apply(variables, x, False), expected, atol=1e-4)
