"""A convolution that XLA computes faster on processors, posed otherwise where it has few channels.

Of at most 16 channels in and out, XLA (of jaxlib 0.10) leaves convolutions to Eigen, which copies
the window of every place and multiplies all outputs of one together: there the outputs of
neighbouring places, up to 16, are computed as one place's. Of one channel in, nothing is as fast as
a sum of moved maps. Of more channels, its own kernels take up to three times as long where they are
no multiple of four, and several times as long where there is no border: there zeros are added.
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
  """A square nn.Conv, with its variables and results: [b h w c] -> [b h/s w/s width].

  On processors, where there are few channels, a value that is no number may spread to outputs
  beside those that see it.

  Raises:
    ValueError: `padding` cuts, or has outputs that see nothing but border. XLA reads beyond its
      arrays then, on processors, in such a convolution or its gradients.
  """

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
    reach = self.dilation * (self.kernel - 1)
    if not isinstance(self.padding, str):
      for border in np.ravel(self.padding):
        if not 0 <= border <= reach:
          raise ValueError(f'a border of {border} pixels; it can be 0 to {reach} here')
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
  posed, plain = (functools.partial(form, **window) for form in (_posed, _plain))
  return jax.lax.platform_dependent(x, kernel, cpu=posed, default=plain)


def _forward(x: jax.Array, kernel: jax.Array, *window) -> tuple[jax.Array, Any]:
  return _convolved(x, kernel, *window), (x, kernel)


def _backward(stride: int, padding: Padding, dilation: int, arrays: Any, gradient: jax.Array):
  window = {'stride': stride, 'padding': padding, 'dilation': dilation}
  posed = functools.partial(_posed_gradients, **window)

  def plain(x, kernel, gradient):
    return jax.vjp(functools.partial(_plain, **window), x, kernel)[1](gradient)

  return jax.lax.platform_dependent(*arrays, gradient, cpu=posed, default=plain)


_convolved.defvjp(_forward, _backward)


def _posed(
  x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, dilation: int
) -> jax.Array:
  """The convolution by the form that is fastest on processors."""
  if not _few(kernel, dilation):
    return _filled(x, kernel, stride, padding, dilation)
  form = _summed if kernel.shape[2] == 1 else _blocked
  return form(x, kernel, stride, _pads(x, kernel, stride, padding))


def _posed_gradients(
  x: jax.Array,
  kernel: jax.Array,
  gradient: jax.Array,
  stride: int,
  padding: Padding,
  dilation: int,
) -> tuple[jax.Array, jax.Array]:
  """Those of x and kernel by the forms that are fastest on processors."""
  if not _few(kernel, dilation):
    form = functools.partial(_filled, stride=stride, padding=padding, dilation=dilation)
    return jax.vjp(form, x, kernel)[1](gradient)
  # The kernel's gradient by blocks would be larger to sum over devices, and no faster to speak of.
  form = functools.partial(_plain, stride=stride, padding=padding, dilation=dilation)
  of_x, of_kernel = jax.vjp(form, x, kernel)[1](gradient)
  if stride == 1 and gradient.size:
    # A convolution as well, by the kernel turned around.
    pads = _pads(x, kernel, stride, padding)
    rest = [tuple(kernel.shape[0] - 1 - n for n in pair) for pair in pads]
    of_x = _posed(gradient, jnp.swapaxes(kernel[::-1, ::-1], 2, 3), 1, rest, 1)
  return of_x, of_kernel


def _few(kernel: jax.Array, dilation: int) -> bool:
  return max(kernel.shape[2:]) <= _FEW and dilation == 1


def _pads(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> Pads:
  """The border in pixels."""
  if not isinstance(padding, str):
    return padding
  return jax.lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride, stride), padding)


_convolution = functools.partial(
  jax.lax.conv_general_dilated, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
)


def _plain(
  x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, dilation: int
) -> jax.Array:
  """The convolution as it is."""
  return _convolution(x, kernel, (stride, stride), padding, rhs_dilation=(dilation, dilation))


def _summed(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> jax.Array:
  """That of one channel, as a sum of the map moved by each place of the kernel."""
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  h, w = _sizes(x, kernel, stride, pads)
  kernel = kernel.astype(jnp.float32)  # And so is the sum: terms in half precision lose digits.
  total = jnp.zeros((len(x), h, w, kernel.shape[3]))
  for i, j in np.ndindex(kernel.shape[:2]):
    part = padded[:, i : i + stride * h : stride, j : j + stride * w : stride]
    total += part[:, :h, :w] * kernel[i, j, 0]
  return total.astype(x.dtype)


def _blocked(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> jax.Array:
  """That of few channels: a block of outputs at once, by a wider kernel with a wider stride."""
  side, outputs = kernel.shape[0], kernel.shape[3]
  block, sizes = _block(side, outputs), _sizes(x, kernel, stride, pads)
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


def _sizes(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> list[int]:
  """Rows and columns of the result."""
  sizes = zip(x.shape[1:3], pads, strict=True)
  return [max(0, (n + sum(pair) - kernel.shape[0]) // stride + 1) for n, pair in sizes]


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
  """That by fours of channels and, of stride 1 and without border, with a row of zeros below it.

  What they add to the result is cut off.
  """
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
