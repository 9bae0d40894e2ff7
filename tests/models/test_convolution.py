"""The convolution that is posed otherwise for processors: it is Flax's own, and theirs alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from depthjax.models import convolution

# Channels that are fours and none, and a kernel of one pixel.
_CASES = {
  'fours': (20, 8, {'kernel': 5, 'padding': ((0, 1), (0, 0)), 'bias': False}),
  'stride': (6, 18, {'kernel': 3, 'stride': 2}),
  'dilation': (5, 21, {'kernel': 3, 'dilation': 2, 'padding': ((2, 2), (2, 2))}),
  'pixel': (7, 6, {'kernel': 1}),
  'no border': (20, 5, {'kernel': 3, 'padding': ((0, 0), (0, 0))}),
  # Few channels, in blocks of 4 x 4, 2 x 4, 2 x 2, 1 x 2 places and of one; of whole ones and not.
  'blocks, map': (3, 1, {'kernel': 5, 'padding': ((0, 0), (0, 0))}),
  'blocks, two': (3, 2, {'kernel': 3, 'padding': ((1, 2), (0, 1))}),
  'blocks, stride': (3, 3, {'kernel': 3, 'stride': 2}),
  'blocks, few': (3, 5, {'kernel': 3}),
  'blocks, valid': (16, 8, {'kernel': 2, 'stride': 3, 'padding': 'VALID'}),
  'blocks, widest border': (4, 3, {'kernel': 4, 'padding': ((3, 0), (0, 3))}),
  'blocks of one': (16, 16, {'kernel': 3, 'padding': ((1, 1), (1, 1))}),
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


# Of channels that are filled up to fours, with a row of zeros; and of 1 x 2 places in a block.
@pytest.mark.parametrize(
  'case, platform, result',
  [
    ('no border', 'cpu', '2x8x6x8'),
    ('no border', 'tpu', '2x7x6x5'),
    ('no border', 'cuda', '2x7x6x5'),
    ('blocks, few', 'cpu', '2x9x4x10'),
    ('blocks, few', 'tpu', '2x9x8x5'),
    ('blocks, few', 'cuda', '2x9x8x5'),
  ],
)
def test_only_processors_see_another_convolution(case, platform, result):
  ours, _, x = _pair(*_CASES[case])
  variables = jax.eval_shape(ours.init, jax.random.key(0), x)
  lowered = jax.jit(ours.apply).trace(variables, x).lower(lowering_platforms=(platform,))
  (line,) = (line for line in lowered.as_text().splitlines() if 'stablehlo.convolution' in line)
  assert line.rstrip().endswith(f'-> tensor<{result}xf32>')


@pytest.mark.parametrize(
  'outputs, block', [(1, (4, 4)), (2, (2, 4)), (3, (2, 2)), (4, (2, 2)), (8, (1, 2)), (9, (1, 1))]
)
def test_a_block_has_as_many_places_as_sixteen_outputs_hold(outputs, block):
  assert convolution._block(3, outputs) == block
  assert convolution._block(1, outputs) == (1, 1)


def test_a_border_that_the_kernel_does_not_reach_past_is_refused():
  ours, _, x = _pair(4, 3, {'kernel': 2, 'padding': ((0, 0), (1, 2))})
  with pytest.raises(ValueError, match='border of 2 pixels; the kernel reaches 1'):
    jax.eval_shape(ours.init, jax.random.key(0), x)


def test_half_precision_goes_in_and_comes_out():
  ours, _, x = _pair(*_CASES['blocks, few'])
  half = ours.clone(dtype=jnp.bfloat16)
  y, variables = jax.eval_shape(half.init_with_output, jax.random.key(0), x)
  assert y.dtype == jnp.bfloat16
  assert all(v.dtype == jnp.float32 for v in jax.tree.leaves(variables))
