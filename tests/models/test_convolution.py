"""`Conv` against nn.Conv, and its lowering on CPU and on other platforms."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from depthjax.models import convolution

_NONE = ((0, 0), (0, 0))
# Channels in and out, fields, and the size of the map if it is not 9 x 8.
_CASES = {
  # Zeros up to multiples of four channels, and a row of zeros.
  'many': (18, 5, {'kernel': 3, 'padding': _NONE}),
  'many, stride': (6, 18, {'kernel': 3, 'stride': 2}),
  'dilation': (5, 21, {'kernel': 3, 'dilation': 2, 'padding': ((2, 2), (2, 2))}),
  'few, dilation': (3, 3, {'kernel': 3, 'dilation': 2, 'padding': ((2, 1), (2, 2))}),
  # Blocks of 4 x 4, 2 x 4, 2 x 2, 1 x 2 and 1 x 1 positions, complete and incomplete.
  'blocks, 4 x 4': (3, 1, {'kernel': 5, 'padding': _NONE}),
  'blocks, 2 x 4': (3, 2, {'kernel': 3, 'padding': ((1, 2), (0, 1))}),
  'blocks, stride': (3, 3, {'kernel': 3, 'stride': 2}),
  'blocks, 1 x 2': (3, 5, {'kernel': 3}),
  'blocks, valid': (16, 8, {'kernel': 2, 'stride': 3, 'padding': 'VALID'}),
  'blocks, widest padding': (4, 3, {'kernel': 4, 'padding': ((3, 0), (0, 3))}),
  'blocks, small map': (3, 1, {'kernel': 3}, (3, 2)),
  'blocks, empty': (3, 5, {'kernel': 5, 'padding': _NONE}, (3, 9)),
  'blocks, 1 x 1': (15, 16, {'kernel': 3, 'padding': ((1, 1), (1, 1)), 'bias': False}),
  # Sums of shifted maps.
  'sum': (1, 1, {'kernel': 5, 'padding': ((0, 1), (0, 0))}),
  'sum, stride': (1, 8, {'kernel': 3, 'stride': 2, 'padding': ((1, 1), (1, 1))}),
  'sum, pixel': (1, 8, {'kernel': 1, 'stride': 2, 'padding': _NONE}),
  'sum, empty': (1, 1, {'kernel': 5, 'padding': ((3, 2), (2, 0))}, (11, 1)),
}


def _pair(inputs, width, fields, size=(9, 8)):
  """Our convolution, Flax's, and an input."""
  ours = convolution.Conv(width, **fields)
  options = {
    'kernel_dilation': ours.dilation,
    'use_bias': ours.bias,
    'kernel_init': ours.kernel_init,
  }
  twin = nn.Conv(width, (ours.kernel,) * 2, ours.stride, ours.padding, **options)
  x = np.random.default_rng(0).normal(size=(2, *size, inputs)).astype(np.float32)
  return ours, twin, x


@pytest.mark.parametrize('case', _CASES)
def test_variables_results_and_gradients_equal_flax(case):
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


def _lowered(net, x, platform, gradients=False):
  """Shapes of the operands and results of the convolutions on a platform, as text."""
  gradient = jax.grad(lambda *arguments: net.apply(*arguments).sum(), argnums=(0, 1))
  arguments = jax.eval_shape(net.init, jax.random.key(0), x), x
  traced = jax.jit(gradient if gradients else net.apply).trace(*arguments)
  text = traced.lower(lowering_platforms=(platform,)).as_text()
  types = re.findall(r'stablehlo\.convolution.* : (.*)', text)
  return sorted(x.replace('tensor', '').replace('xf32', '') for x in types)


# By case: the convolution of the result on CPU, and those of the gradients.
_LOWERED = {
  'many': '(<2x9x8x20>, <3x3x20x8>) -> <2x8x6x8>',
  'many, gradients': '(<2x8x6x8>, <3x3x20x8>) -> <2x9x8x20>; (<2x9x8x20>, <2x8x6x8>) -> <3x3x20x8>',
  'sum': '',
  'sum, gradients': '(<2x9x8x1>, <2x6x4x1>) -> <5x5x1x1>',
  'blocks, 1 x 2': '(<2x9x8x3>, <3x4x3x10>) -> <2x9x4x10>',
  'blocks, 1 x 2, gradients': (
    '(<2x9x8x3>, <2x9x8x5>) -> <3x3x3x5>; (<2x9x8x5>, <4x4x5x12>) -> <2x5x4x12>'
  ),
  'blocks, stride': '(<2x9x8x3>, <5x5x3x12>) -> <2x3x2x12>',
  'blocks, stride, gradients': (
    '(<2x5x4x3>, <3x3x3x3>) -> <2x9x8x3>; (<2x9x8x3>, <2x5x4x3>) -> <3x3x3x3>'
  ),
}


@pytest.mark.parametrize('case', ['many', 'sum', 'blocks, 1 x 2', 'blocks, stride'])
def test_convolutions_are_lowered_differently_on_cpu_only(monkeypatch, case):
  ours, flax, x = _pair(*_CASES[case])
  assert '; '.join(_lowered(ours, x, 'cpu')) == _LOWERED[case]
  assert '; '.join(_lowered(ours, x, 'cpu', gradients=True)) == _LOWERED[f'{case}, gradients']
  for platform in ('tpu', 'cuda'):
    for grads in (False, True):
      assert _lowered(ours, x, platform, grads) == _lowered(flax, x, platform, grads)
  monkeypatch.setattr(convolution, '_LOWER_ON_CPU', False)
  assert _lowered(ours, x, 'cpu') == _lowered(flax, x, 'cpu')


@pytest.mark.parametrize('padding', [2, -1])
def test_padding_that_is_negative_or_exceeds_the_kernel_is_refused(padding):
  ours, _, x = _pair(4, 3, {'kernel': 2, 'padding': ((0, 0), (1, padding))})
  with pytest.raises(ValueError, match=f'padding is {padding} pixels; it must be 0 to 1'):
    jax.eval_shape(ours.init, jax.random.key(0), x)


@pytest.mark.parametrize('case', ['sum', 'sum, stride', 'blocks, 4 x 4', 'blocks, stride', 'many'])
def test_bfloat16_results_are_rounded_once(case):
  inputs, width, fields = _CASES[case]
  *nets, x = _pair(inputs, width, {**fields, 'bias': False})
  variables = jax.jit(nets[1].init)(jax.random.key(3), x)
  # Positive, so that rounding each term would accumulate; representable in bfloat16.
  positive = lambda v: np.float32((abs(v) + 0.1).astype(jnp.bfloat16))  # noqa: E731
  x, variables = jax.tree.map(positive, (x, variables))

  def results(net, dtype):
    y, backward = jax.vjp(net.clone(dtype=dtype).apply, variables, x)
    assert y.dtype == dtype
    return jax.tree.leaves((y, backward(jnp.ones_like(y))))

  dtypes = jnp.bfloat16, jnp.float32
  pair = (jax.jit(functools.partial(results, *x))() for x in zip(nets, dtypes, strict=True))
  for ours, right in zip(*pair, strict=True):
    assert abs(np.float32(ours) - right).max() <= 2**-8 * abs(right).max()
