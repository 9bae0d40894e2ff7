"""`Conv`: a square nn.Conv that is lowered differently on CPU, where XLA of jaxlib 0.10 is slow.

With at most 16 channels in and out XLA falls back to Eigen, which copies a window for every output
position. With one input channel a sum of shifted maps is faster; with more, a wider kernel with a
wider stride that computes the outputs of neighbouring positions, up to 16, as channels of one. With
more channels XLA is slow for numbers that are no multiple of four, and without padding: zeros are
added there.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

Padding = str | Sequence[tuple[int, int]]
# Times without it, jaxlib 0.10.2: sddr:small 1.3x (train step) and 1.7x (inference), lensblur:small
# 1.0x and 1.2x. Measure again with jaxlib 0.13; 0.12 is in the lock file and was not measured.
_LOWER_ON_CPU = jax.__version_info__ < (0, 13)  # Jaxlib has the same minor version.
_MAX_CHANNELS = 16


class Window(NamedTuple):
  """How a kernel moves over a map."""

  stride: int
  padding: Padding
  dilation: int


class Conv(nn.Module):
  """A square nn.Conv, with its variables and results: [b h w c] -> [b h/s w/s width].

  On CPU, with at most 16 channels, a NaN may spread to outputs next to those that depend on it.

  Raises:
    ValueError: `padding` is negative or exceeds the kernel extent. XLA would read beyond its
      arrays on CPU.
  """

  width: int
  kernel: int
  stride: int = 1
  padding: Padding = 'SAME'
  dilation: int = 1
  groups: int = 1  # Of channels; each output depends on one group of the input.
  bias: bool = True
  kernel_init: Callable[..., jax.Array] = nn.initializers.xavier_uniform()
  bias_init: Callable[..., jax.Array] = nn.initializers.zeros
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    limit = self.dilation * (self.kernel - 1)
    for n in () if isinstance(self.padding, str) else np.ravel(self.padding):
      if not 0 <= n <= limit:
        raise ValueError(f'padding is {n} pixels; it must be 0 to {limit} for this kernel')
    shape = self.kernel, self.kernel, x.shape[-1] // self.groups, self.width
    kernel = self.param('kernel', self.kernel_init, shape).astype(self.dtype)
    convolve = _convolve if _LOWER_ON_CPU and self.groups == 1 else _plain
    window = Window(self.stride, self.padding, self.dilation)
    y = convolve(x.astype(self.dtype), kernel, window)
    if self.bias:
      y = y + self.param('bias', self.bias_init, shape[-1:]).astype(self.dtype)
    return y


_convolution = functools.partial(
  jax.lax.conv_general_dilated, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
)


def _plain(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  stride, padding, dilation = window
  fields = {'rhs_dilation': (dilation, dilation)}
  fields['feature_group_count'] = x.shape[-1] // kernel.shape[2]
  return _convolution(x, kernel, (stride, stride), padding, **fields)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  on_cpu, plain = (functools.partial(f, window=window) for f in (_on_cpu, _plain))
  return jax.lax.platform_dependent(x, kernel, cpu=on_cpu, default=plain)


def _forward(x: jax.Array, kernel: jax.Array, window: Window) -> tuple[jax.Array, Any]:
  return _convolve(x, kernel, window), (x, kernel)


def _backward(window: Window, arrays: Any, gradient: jax.Array):
  def gradients(function, x, kernel, gradient):
    return jax.vjp(functools.partial(function, window=window), x, kernel)[1](gradient)

  def on_cpu(x, kernel, gradient):
    if not _few(kernel, window):
      return gradients(_padded, x, kernel, gradient)
    # The kernel's gradient stays plain: of a wider kernel it would be larger to all-reduce.
    of_x, of_kernel = gradients(_plain, x, kernel, gradient)
    if window.stride == 1 and gradient.size:
      # Also a convolution, with the flipped kernel.
      rest = [tuple(kernel.shape[0] - 1 - n for n in pair) for pair in _pads(x, kernel, window)]
      of_x = _on_cpu(gradient, jnp.swapaxes(kernel[::-1, ::-1], 2, 3), Window(1, rest, 1))
    return of_x, of_kernel

  plain = functools.partial(gradients, _plain)
  return jax.lax.platform_dependent(*arrays, gradient, cpu=on_cpu, default=plain)


_convolve.defvjp(_forward, _backward)


def _on_cpu(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  if not _few(kernel, window):
    return _padded(x, kernel, window)
  lower = _shifted_sum if kernel.shape[2] == 1 else _blocked
  pads = _pads(x, kernel, window)
  sizes = zip(x.shape[1:3], pads, strict=True)
  shape = [max(0, (n + sum(pair) - kernel.shape[0]) // window.stride + 1) for n, pair in sizes]
  return lower(x, kernel, window.stride, pads, shape)


def _few(kernel: jax.Array, window: Window) -> bool:
  return max(kernel.shape[2:]) <= _MAX_CHANNELS and window.dilation == 1


def _pads(x: jax.Array, kernel: jax.Array, window: Window) -> Sequence:
  """The padding in pixels."""
  if not isinstance(window.padding, str):
    return window.padding
  strides = (window.stride,) * 2
  return jax.lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, window.padding)


def _padded(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """The convolution with zero channels up to multiples of four and, if unpadded, a row of zeros."""
  extra = [(0, -n % 4) for n in kernel.shape[2:]]
  padding = window.padding
  row = window.stride == 1 and not isinstance(padding, str) and not np.any(padding)
  x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), extra[0]))
  wide = jnp.pad(kernel, ((0, 0), (0, 0), *extra))
  y = _plain(x, wide, window._replace(padding=((0, 1), (0, 0)) if row else padding))
  return y[:, : y.shape[1] - row, :, : kernel.shape[3]]


def _shifted_sum(
  x: jax.Array, kernel: jax.Array, stride: int, pads: Sequence, shape: list[int]
) -> jax.Array:
  """The convolution of one channel, as the sum of the map shifted by each kernel tap."""
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  h, w = shape
  kernel = kernel.astype(jnp.float32)  # As the sum: bfloat16 terms would lose digits.
  total = jnp.zeros((x.shape[0], h, w, kernel.shape[3]))
  for i, j in np.ndindex(kernel.shape[:2]):
    part = padded[:, i : i + stride * h : stride, j : j + stride * w : stride]
    total += part[:, :h, :w] * kernel[i, j, 0]
  return total.astype(x.dtype)


def _blocked(
  x: jax.Array, kernel: jax.Array, stride: int, pads: Sequence, shape: list[int]
) -> jax.Array:
  """The convolution of few channels: blocks of up to 16 outputs by a wider kernel and stride."""
  size, outputs = kernel.shape[0], kernel.shape[3]
  # A power of two of rows and of columns, columns first; windows of 1x1 kernels do not overlap.
  doublings = (_MAX_CHANNELS // outputs).bit_length() - 1 if size > 1 else 0
  block = 2 ** (doublings // 2), 2 ** ((doublings + 1) // 2)
  # Incomplete blocks are computed from zeros, then cropped.
  extra = [-n % k for n, k in zip(shape, block, strict=True)]
  pads = [(first, last + stride * n) for (first, last), n in zip(pads, extra, strict=True)]
  shifted = [
    jnp.pad(kernel, [*((stride * i, stride * (k - 1 - i)) for i, k in at), (0, 0), (0, 0)])
    for at in (zip(position, block, strict=True) for position in np.ndindex(*block))
  ]
  wide = jnp.concatenate(shifted, axis=-1)
  y = _convolution(x, wide, [stride * k for k in block], pads)
  b, h, w, _ = y.shape
  y = jnp.swapaxes(y.reshape(b, h, w, *block, outputs), 2, 3)
  return y.reshape(b, h * block[0], w * block[1], outputs)[:, : shape[0], : shape[1]]
