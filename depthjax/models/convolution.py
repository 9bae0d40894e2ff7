"""A convolution that XLA computes faster on processors, with channels filled up with zeros.

XLA's kernels (of jaxlib 0.10) take up to three times as long for channels that are no multiple of
four, and of at most 16 channels it leaves convolutions to others, which are half as fast. Of one
channel in, none is as fast as a sum of moved maps.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

Padding = str | tuple[tuple[int, int], tuple[int, int]]
_FEW = 16


class Conv(nn.Module):
  """A square nn.Conv, with its variables and results: [b h w c] -> [b h/s w/s width]."""

  width: int
  kernel: int
  stride: int = 1
  padding: Padding = 'SAME'
  dilation: int = 1
  bias: bool = True
  kernel_init: Callable[..., jax.Array] = nn.initializers.xavier_uniform()
  bias_init: Callable[..., jax.Array] = nn.initializers.zeros
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = self.kernel, self.kernel, x.shape[-1], self.width
    kernel = self.param('kernel', self.kernel_init, shape).astype(self.dtype)
    y = _convolved(x.astype(self.dtype), kernel, self.stride, self.padding, self.dilation)
    if self.bias:
      y = y + self.param('bias', self.bias_init, shape[-1:]).astype(self.dtype)
    return y


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _convolved(
  x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, dilation: int
) -> jax.Array:
  plain = functools.partial(_plain, stride=stride, padding=padding, dilation=dilation)
  few = kernel.shape[0] > 1 and max(kernel.shape[2:]) <= _FEW
  filled = functools.partial(_filled, plain, least=_FEW + 4 if few else 0)
  single = kernel.shape[2] == 1 and kernel.shape[3] <= _FEW
  if single and dilation == 1 and not isinstance(padding, str):
    filled = functools.partial(_summed, stride=stride, padding=padding)
  return jax.lax.platform_dependent(x, kernel, cpu=filled, default=plain)


def _forward(x: jax.Array, kernel: jax.Array, *window) -> tuple[jax.Array, Any]:
  return _convolved(x, kernel, *window), (x, kernel)


def _backward(stride: int, padding: Padding, dilation: int, arrays: Any, gradient: jax.Array):
  plain = functools.partial(_plain, stride=stride, padding=padding, dilation=dilation)

  def gradients(convolution, arrays, gradient):
    return jax.vjp(convolution, *arrays)[1](gradient)

  # Its convolutions are others: there more outputs than fours would cost time.
  filled = functools.partial(gradients, functools.partial(_filled, plain))
  default = functools.partial(gradients, plain)
  return jax.lax.platform_dependent(arrays, gradient, cpu=filled, default=default)


_convolved.defvjp(_forward, _backward)


def _plain(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, dilation: int):
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    padding,
    rhs_dilation=(dilation, dilation),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


def _summed(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
  """The same of one channel, as a sum of the map moved by each place of the kernel.

  Filled up, a kernel of 5 from one channel to one took nearly 20 times as long.
  """
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  side = kernel.shape[0]
  h, w = ((n - side) // stride * stride + 1 for n in x.shape[1:3])
  total = 0.0
  for i, j in np.ndindex(side, side):
    total += x[:, i : i + h : stride, j : j + w : stride] * kernel[i, j, 0]
  return total


def _filled(
  convolution: Callable[..., jax.Array], x: jax.Array, kernel: jax.Array, least: int = 0
) -> jax.Array:
  """The same by fours of channels and at least so many outputs, the rest of which is cut off."""
  inputs, outputs = kernel.shape[2:]
  more = (0, -inputs % 4), (0, max(-outputs % 4, least - outputs))
  y = convolution(
    jnp.pad(x, ((0, 0), (0, 0), (0, 0), more[0])), jnp.pad(kernel, ((0, 0), (0, 0), *more))
  )
  return y[..., :outputs]
