"""Parameters and multiply-adds of the refinement network against the published numbers.

Multiply-adds of convolutions, linear layers and attention; zero padding counts.
"""

import functools
import math

import jax
import jax.numpy as jnp
import pytest

from depthjax.models.encoders import mit
from depthjax.models.refinement import fusenet, refiners
from depthjax.plan import work


def _variables():
  return jax.eval_shape(functools.partial(refiners.initial, fusenet.FuseNet()))


def _macs(side, side_outputs):
  x = jax.ShapeDtypeStruct((1, side, side, 1), jnp.float32)
  apply = jax.jit(functools.partial(fusenet.FuseNet().apply, side_outputs=side_outputs))
  jaxpr = apply.trace(_variables(), x, x).jaxpr.jaxpr
  total = 0
  for equation, _ in work._equations(jaxpr, 1):
    size = sum(math.prod(x.aval.shape) for x in equation.outvars)
    if equation.primitive.name == 'dot_general':
      (contracted, _), _ = equation.params['dimension_numbers']
      total += size * math.prod(equation.invars[0].aval.shape[i] for i in contracted)
    elif equation.primitive.name == 'conv_general_dilated':
      *kernel, _ = equation.invars[1].aval.shape  # [h w in out]
      total += size * math.prod(kernel)
  return total


def _depthwise(side):
  """Multiply-adds of the depthwise convolutions of both streams, sums of products in the trace."""
  stages = zip(*mit.SIZES['b0'], (16, 32, 64, 128), strict=True)
  return sum(2 * depth * 9 * 4 * width * (side // step) ** 2 for width, depth, step in stages)


def test_the_network_has_the_parameters_of_the_release():
  params = _variables()['params']
  count = lambda tree: sum(x.size for x in jax.tree.leaves(tree))  # noqa: E731
  assert count(params) == 10_302_483
  assert count(params['backbone']) == 3_339_776
  assert count(params['cross']) == 6_443_776
  assert sum(count(params[f'encoder_{i}']) for i in (1, 2, 3)) == 19_080


@pytest.mark.parametrize('side, billions', [(1024, 4.90), (2048, 21.96)])
def test_multiply_adds_are_the_published_ones_and_inference_omits_the_side_outputs(side, billions):
  macs = _macs(side, True)
  assert round((macs + _depthwise(side)) / 1e9, 2) == billions
  # 3x3 convolutions to one channel, from 32 at a quarter and from 16 at half of the size.
  assert macs - _macs(side, False) == 9 * (32 * (side // 4) ** 2 + 16 * (side // 2) ** 2)
