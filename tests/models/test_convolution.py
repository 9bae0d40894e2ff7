"""The convolution that is posed otherwise for processors: it is Flax's own, and theirs alone."""

import functools

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
  'no border': (18, 5, {'kernel': 3, 'padding': ((0, 0), (0, 0))}),
  # Few channels, in blocks of 4 x 4, 2 x 4, 2 x 2, 1 x 2 places and of one; of whole ones and not.
  'blocks, map': (3, 1, {'kernel': 5, 'padding': ((0, 0), (0, 0))}),
  'blocks, two': (3, 2, {'kernel': 3, 'padding': ((1, 2), (0, 1))}),
  'blocks, stride': (3, 3, {'kernel': 3, 'stride': 2}),
  'blocks, few': (3, 5, {'kernel': 3}),
  'blocks, valid': (16, 8, {'kernel': 2, 'stride': 3, 'padding': 'VALID'}),
  'blocks, widest border': (4, 3, {'kernel': 4, 'padding': ((3, 0), (0, 3))}),
  'blocks, small map': (3, 1, {'kernel': 3}, (3, 2)),
  'blocks, nothing': (3, 5, {'kernel': 5, 'padding': ((0, 0), (0, 0))}, (3, 9)),
  'blocks, dilation': (3, 3, {'kernel': 3, 'dilation': 2, 'padding': ((2, 1), (2, 2))}),
  'blocks of one': (15, 16, {'kernel': 3, 'padding': ((1, 1), (1, 1))}),
  # One channel in, as a sum of moved maps: of odd and even sizes, with border and without.
  'map': (1, 1, {'kernel': 5, 'padding': ((0, 1), (0, 0))}),
  'map, stride': (1, 8, {'kernel': 3, 'stride': 2, 'padding': ((1, 1), (1, 1))}),
  'map, pixel, stride': (1, 8, {'kernel': 1, 'stride': 2, 'padding': ((0, 0), (0, 0))}),
  'map, same': (1, 8, {'kernel': 3}),
  'map, dilation': (1, 8, {'kernel': 3, 'dilation': 2}),
  'map, nothing': (1, 1, {'kernel': 5, 'padding': ((3, 2), (2, 0))}, (11, 1)),
}


def _pair(inputs, width, fields, size=(9, 8)):
  """Our convolution, Flax's and an input."""
  fields = {'stride': 1, 'padding': 'SAME', 'dilation': 1, 'bias': True, **fields}
  side = fields['kernel']
  ours = convolution.Conv(width, **fields)
  twin = nn.Conv(
    width,
    (side, side),
    fields['stride'],
    fields['padding'],
    kernel_dilation=fields['dilation'],
    use_bias=fields['bias'],
    kernel_init=nn.initializers.xavier_uniform(),
  )
  return ours, twin, np.random.default_rng(0).normal(size=(2, *size, inputs)).astype(np.float32)


@pytest.mark.parametrize('case', _CASES)
def test_variables_results_and_gradients_are_those_of_flax(case):
  *nets, x = _pair(*_CASES[case])
  trees = []
  for net in nets:
    variables = jax.jit(net.init)(jax.random.key(3), x)
    shifted = jax.tree.map(lambda v: v + 0.1, variables)

    def loss(variables, x, net=net):
      y = net.apply(variables, x)
      return (y**2).sum() / 1000, y

    grads, y = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(shifted, x)
    trees.append((variables, grads, y))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *trees)


def _convolutions(apply, arguments, platform):
  """The operands and results of the convolutions that are compiled, as text."""
  text = jax.jit(apply).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()
  lines = (line.strip() for line in text.splitlines() if 'stablehlo.convolution' in line)
  return sorted(
    line.rsplit(' : ', 1)[1].replace('tensor', '').replace('xf32', '') for line in lines
  )


# Of channels that are filled up to fours, with a row of zeros; of 1 x 2 places in a block; of one.
@pytest.mark.parametrize(
  'case, here, elsewhere',
  [
    (
      'no border',
      '(<2x9x8x20>, <3x3x20x8>) -> <2x8x6x8>',
      '(<2x9x8x18>, <3x3x18x5>) -> <2x7x6x5>',
    ),
    (
      'blocks, few',
      '(<2x9x8x3>, <3x4x3x10>) -> <2x9x4x10>',
      '(<2x9x8x3>, <3x3x3x5>) -> <2x9x8x5>',
    ),
    (
      'blocks of one',
      '(<2x9x8x15>, <3x3x15x16>) -> <2x9x8x16>',
      '(<2x9x8x15>, <3x3x15x16>) -> <2x9x8x16>',
    ),
  ],
)
def test_only_processors_see_another_convolution(case, here, elsewhere):
  ours, _, x = _pair(*_CASES[case])
  arguments = jax.eval_shape(ours.init, jax.random.key(0), x), x
  for platform, result in (('cpu', here), ('tpu', elsewhere), ('cuda', elsewhere)):
    assert _convolutions(ours.apply, arguments, platform) == [result]


@pytest.mark.parametrize('platform, convolutions', [('cpu', 0), ('tpu', 1), ('cuda', 1)])
def test_maps_of_one_channel_are_summed_on_processors_alone(platform, convolutions):
  ours, _, x = _pair(*_CASES['map'])
  arguments = jax.eval_shape(ours.init, jax.random.key(0), x), x
  assert len(_convolutions(ours.apply, arguments, platform)) == convolutions


# The input's gradient is, of stride 1, a sum or a convolution of the gradient by blocks. That of
# the kernel is plain: of a wider one there would be more to send from device to device.
@pytest.mark.parametrize(
  'case, here',
  [
    ('map', ['(<2x9x8x1>, <2x6x4x1>) -> <5x5x1x1>']),
    (
      'blocks, few',
      ['(<2x9x8x3>, <2x9x8x5>) -> <3x3x3x5>', '(<2x9x8x5>, <4x4x5x12>) -> <2x5x4x12>'],
    ),
    (
      'blocks, stride',
      ['(<2x5x4x3>, <3x3x3x3>) -> <2x9x8x3>', '(<2x9x8x3>, <2x5x4x3>) -> <3x3x3x3>'],
    ),
    (
      'no border',
      ['(<2x8x6x8>, <3x3x20x8>) -> <2x9x8x20>', '(<2x9x8x20>, <2x8x6x8>) -> <3x3x20x8>'],
    ),
  ],
)
def test_only_processors_see_other_gradients(case, here):
  ours, flax, x = _pair(*_CASES[case])
  arguments = jax.eval_shape(ours.init, jax.random.key(0), x), x

  def gradients(net):
    return jax.grad(lambda *arguments: net.apply(*arguments).sum(), argnums=(0, 1))

  assert _convolutions(gradients(ours), arguments, 'cpu') == here
  for platform in ('tpu', 'cuda'):
    both = [_convolutions(gradients(net), arguments, platform) for net in (ours, flax)]
    assert both[0] == both[1]


@pytest.mark.parametrize(
  'outputs, block', [(1, (4, 4)), (2, (2, 4)), (3, (2, 2)), (4, (2, 2)), (8, (1, 2)), (9, (1, 1))]
)
def test_a_block_has_as_many_places_as_sixteen_outputs_hold(outputs, block):
  assert convolution._block(3, outputs) == block
  assert convolution._block(1, outputs) == (1, 1)


@pytest.mark.parametrize('border', [2, -1])
def test_a_border_that_cuts_or_that_the_kernel_does_not_reach_past_is_refused(border):
  fields = {'kernel': 3, 'dilation': 2}
  _pair(4, 3, {**fields, 'padding': ((4, 0), (0, 4))})[0].init(
    jax.random.key(0), jnp.ones((1, 8, 8, 4))
  )
  ours, _, x = _pair(4, 3, {'kernel': 2, 'padding': ((0, 0), (1, border))})
  with pytest.raises(ValueError, match=f'border of {border} pixels; it can be 0 to 1 here'):
    jax.eval_shape(ours.init, jax.random.key(0), x)


@pytest.mark.parametrize('case', [case for case in _CASES if 'nothing' not in case])
def test_half_precision_is_rounded_at_the_end_alone(case):
  inputs, width, fields, *size = _CASES[case]
  *nets, x = _pair(inputs, width, {**fields, 'bias': False}, *size)
  variables = jax.jit(nets[1].init)(jax.random.key(3), x)
  # Of one sign, where sums that are rounded term by term go astray; nothing to round before them.
  x, variables = jax.tree.map(
    lambda v: np.float32((abs(v) + 0.1).astype(jnp.bfloat16)), (x, variables)
  )

  def results(net, dtype):
    y, backward = jax.vjp(net.clone(dtype=dtype).apply, variables, x)
    assert y.dtype == dtype
    return jax.tree.leaves((y, backward(jnp.ones_like(y))))

  half = jax.jit(functools.partial(results, nets[0], jnp.bfloat16))()
  exact = jax.jit(functools.partial(results, nets[1], jnp.float32))()
  for ours, right in zip(half, exact, strict=True):
    assert abs(np.float32(ours) - right).max() <= 2**-8 * abs(right).max()
