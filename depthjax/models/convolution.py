"""A convolution that XLA computes faster on processors, posed otherwise where it has few channels.

Of at most 16 channels in and out, XLA (of jaxlib 0.10) leaves convolutions to Eigen, which copies
the window of every output and multiplies 16 outputs in the time of one: there outputs of
neighbouring places are computed as one place's. Of one channel in, nothing is as fast as a sum of
moved maps. Of more channels, its own kernels take up to three times as long where they are no
multiple of four, and several times as long where there is no border: there zeros are added.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

Pads = Sequence[tuple[int, int]]
Padding = str | Pads
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
  window = {'stride': stride, 'padding': padding, 'dilation': dilation}
  posed = functools.partial(_filled, **window)
  inputs, outputs = kernel.shape[2:]
  if max(inputs, outputs) <= _FEW and dilation == 1:
    pads = padding
    if isinstance(padding, str):
      pads = jax.lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride, stride), padding)
    form = _summed if inputs == 1 else _blocked
    posed = functools.partial(form, stride=stride, pads=pads)
  return jax.lax.platform_dependent(
    x, kernel, cpu=posed, default=functools.partial(_plain, **window)
  )


def _forward(x: jax.Array, kernel: jax.Array, *window) -> tuple[jax.Array, Any]:
  return _convolved(x, kernel, *window), (x, kernel)


def _backward(stride: int, padding: Padding, dilation: int, arrays: Any, gradient: jax.Array):
  window = {'stride': stride, 'padding': padding, 'dilation': dilation}

  def gradients(arrays, gradient, convolution):
    return jax.vjp(functools.partial(convolution, **window), *arrays)[1](gradient)

  # Its convolutions are others: sums over all places, and of as many channels as go in.
  filled = functools.partial(gradients, convolution=_filled)
  default = functools.partial(gradients, convolution=_plain)
  return jax.lax.platform_dependent(arrays, gradient, cpu=filled, default=default)


_convolved.defvjp(_forward, _backward)


def _plain(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, dilation: int):
  return _convolution(x, kernel, (stride, stride), padding, rhs_dilation=(dilation, dilation))


_convolution = functools.partial(
  jax.lax.conv_general_dilated, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
)


def _summed(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> jax.Array:
  """The same of one channel, as a sum of the map moved by each place of the kernel."""
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  side = kernel.shape[0]
  h, w = ((n - side) // stride * stride + 1 for n in x.shape[1:3])
  total = 0.0
  for i, j in np.ndindex(side, side):
    total += x[:, i : i + h : stride, j : j + w : stride] * kernel[i, j, 0]
  return total


def _blocked(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> jax.Array:
  """The same of few channels: a block of outputs at once, of a wider kernel with a wider stride."""
  side, outputs = kernel.shape[0], kernel.shape[3]
  block = _block(side, outputs)
  sizes = [(n + sum(p) - side) // stride + 1 for n, p in zip(x.shape[1:3], pads, strict=True)]
  # What is missing to whole blocks is computed of zeros and cut off.
  more = [-n % k for n, k in zip(sizes, block, strict=True)]
  pads = [(first, last + stride * n) for (first, last), n in zip(pads, more, strict=True)]
  moved = [
    jnp.pad(kernel, [*((stride * i, stride * (k - 1 - i)) for i, k in at), (0, 0), (0, 0)])
    for at in (zip(place, block, strict=True) for place in np.ndindex(*block))
  ]
  wide = jnp.concatenate(moved, axis=-1)
  y = _convolution(x, wide, [stride * k for k in block], pads)
  b, h, w, _ = y.shape
  y = jnp.swapaxes(y.reshape(b, h, w, *block, outputs), 2, 3)
  return y.reshape(b, h * block[0], w * block[1], outputs)[:, : sizes[0], : sizes[1]]


def _block(side: int, outputs: int) -> tuple[int, int]:
  """Rows and columns, powers of two, of the places whose outputs make up to 16 together.

  Columns first: they lie one behind the other, so that blocks of one row are nothing to undo. A
  kernel of one pixel has no windows that would overlap.
  """
  doublings = (_FEW // outputs).bit_length() - 1 if side > 1 else 0
  return 2 ** (doublings // 2), 2 ** ((doublings + 1) // 2)


def _filled(
  x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, dilation: int
) -> jax.Array:
  """The same by fours of channels, and of at least one row of zeros below, each cut off again."""
  inputs, outputs = kernel.shape[2:]
  more = (0, -inputs % 4), (0, -outputs % 4)
  row = stride == 1 and not isinstance(padding, str) and not np.any(padding)
  y = _plain(
    jnp.pad(x, ((0, 0), (0, 0), (0, 0), more[0])),
    jnp.pad(kernel, ((0, 0), (0, 0), *more)),
    stride,
    ((0, 1), (0, 0)) if row else padding,
    dilation,
  )
  return y[:, : y.shape[1] - row, :, :outputs]
