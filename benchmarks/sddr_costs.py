"""Multiply-adds of the refinement network of SDDR, counted in its jaxpr."""

import functools
import math

import jax
import jax.numpy as jnp

from depthjax.models.encoders import mit
from depthjax.models.refinement import fusenet, refiners
from depthjax.plan import work


def macs(side: int, sides: bool) -> int:
  """Multiply-adds of convolutions, linear layers and attention for two maps of side x side pixels.

  As papers count them: one for each tap of a kernel at each pixel, beyond the border
  too. `sides` counts the outputs that only training needs.
  """
  x = jax.ShapeDtypeStruct((1, side, side, 1), jnp.float32)
  variables = jax.eval_shape(functools.partial(refiners.initial, fusenet.FuseNet()))
  apply = jax.jit(functools.partial(fusenet.FuseNet().apply, side_outputs=sides))
  total = _depthwise(side)
  for equation, times in work._equations(apply.trace(variables, x, x).jaxpr.jaxpr, 1):
    size = times * sum(math.prod(y.aval.shape) for y in equation.outvars)
    if equation.primitive.name == 'dot_general':
      (contracted, _), _ = equation.params['dimension_numbers']
      total += size * math.prod(equation.invars[0].aval.shape[i] for i in contracted)
    elif equation.primitive.name == 'conv_general_dilated':
      *kernel, _ = equation.invars[1].aval.shape  # [h w in out]
      total += size * math.prod(kernel)
  return total


def bicubic_macs(side: int, sides: bool) -> int:
  """Multiply-adds of bicubic upsampling: four for each value in rows, then in columns."""
  net = fusenet.FuseNet()
  # Channels of the upsampled maps, and their factor below the full size.
  widths = [*net.widths[::-1], *net.stem[::-1]]
  scales = [128, 64, 32, 16, 8, 4, 2]
  extra = [(net.stem[2], 8), (net.stem[1], 4)] if sides else []
  pairs = [*zip(widths, scales, strict=True), *extra]
  return sum(4 * width * (side // scale) ** 2 * (2 + 4) for width, scale in pairs)


def _depthwise(side: int) -> int:
  """Multiply-adds of the depthwise convolutions of both streams, lowered without a convolution."""
  widths, depths = mit.SIZES['b0']
  total, n = 0, side // 4
  for width, depth, stride in zip(widths, depths, mit.STRIDES, strict=True):
    n //= stride
    total += depth * 9 * 4 * width * n**2
  return 2 * total
