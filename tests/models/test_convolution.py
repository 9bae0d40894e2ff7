"""The convolution that fills channels up: it is Flax's own, and filled only where it helps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from depthjax.models import convolution

# Few channels on both sides, fours, neither, and a kernel that is never filled to more than fours.
_CASES = {
  'few': (3, 5, {'kernel': 3}),
  'fours': (20, 8, {'kernel': 5, 'padding': ((0, 1), (0, 0)), 'bias': False}),
  'stride': (6, 18, {'kernel': 3, 'stride': 2}),
  'dilation': (5, 21, {'kernel': 3, 'dilation': 2, 'padding': ((2, 2), (2, 2))}),
  'pixel': (7, 6, {'kernel': 1}),
  # One channel in, as a sum of moved maps: of odd and even sizes, with border and without.
  'map': (1, 1, {'kernel': 5, 'padding': ((0, 1), (0, 0))}),
  'map, stride': (1, 8, {'kernel': 3, 'stride': 2, 'padding': ((1, 1), (1, 1))}),
  'map, pixel, stride': (1, 8, {'kernel': 1, 'stride': 2, 'padding': ((0, 0), (0, 0))}),
  'map, same': (1, 8, {'kernel': 3}),
}


def _pair(inputs, width, fields):
  """Our convolution, Flax's and an input."""
  fields = {'stride': 1, 'padding': 'SAME', 'dilation': 1, 'bias': True, **fields}
  size = fields['kernel']
  ours = convolution.Conv(width, **fields)
  twin = nn.Conv(
    width,
    (size, size),
    fields['stride'],
    fields['padding'],
    kernel_dilation=fields['dilation'],
    use_bias=fields['bias'],
    kernel_init=nn.initializers.xavier_uniform(),
  )
  return ours, twin, np.random.default_rng(0).normal(size=(2, 9, 8, inputs)).astype(np.float32)


@pytest.mark.parametrize('case', _CASES)
def test_variables_results_and_gradients_are_those_of_flax(case):
  *nets, x = _pair(*_CASES[case])
  trees = []
  for net in nets:
    variables = jax.jit(net.init)(jax.random.key(3), x)
    shifted = jax.tree.map(lambda v: v + 0.1, variables)

    def loss(variables, x, net=net):
      y = net.apply(variables, x)
      return (y**2).mean(), y

    grads, y = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(shifted, x)
    trees.append((variables, grads, y))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *trees)


@pytest.mark.parametrize('platform, convolutions', [('cpu', 0), ('tpu', 1), ('cuda', 1)])
def test_maps_of_one_channel_are_summed_on_processors_alone(platform, convolutions):
  ours, _, x = _pair(*_CASES['map'])
  variables = jax.eval_shape(ours.init, jax.random.key(0), x)
  lowered = jax.jit(ours.apply).trace(variables, x).lower(lowering_platforms=(platform,))
  assert lowered.as_text().count('stablehlo.convolution') == convolutions


@pytest.mark.parametrize('platform, outputs', [('cpu', 20), ('tpu', 5), ('cuda', 5)])
def test_only_processors_see_the_channels_that_fill_up(platform, outputs):
  ours, _, x = _pair(*_CASES['few'])
  variables = jax.eval_shape(ours.init, jax.random.key(0), x)
  lowered = jax.jit(ours.apply).trace(variables, x).lower(lowering_platforms=(platform,))
  (line,) = (line for line in lowered.as_text().splitlines() if 'stablehlo.convolution' in line)
  assert line.rstrip().endswith(f'-> tensor<2x9x8x{outputs}xf32>')


def test_half_precision_goes_in_and_comes_out():
  ours, _, x = _pair(*_CASES['few'])
  half = ours.clone(dtype=jnp.bfloat16)
  y, variables = jax.eval_shape(half.init_with_output, jax.random.key(0), x)
  assert y.dtype == jnp.bfloat16
  assert all(v.dtype == jnp.float32 for v in jax.tree.leaves(variables))
