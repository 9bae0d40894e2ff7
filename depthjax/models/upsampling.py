"""Interpolation as PyTorch's networks do it: with aligned corners, or bicubic with edge padding.

jax.image has PyTorch's bicubic kernel (CUBIC_PYTORCH), but neither its edge padding nor a form
without dense matrix products.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

# Output pixels 2k and 2k + 1 depend on input pixels k - 2 to k + 2.
_RADIUS = 2
# For each tap the input pixels [m] of m output pixels, and their weights [m].
_Taps = list[tuple[np.ndarray, np.ndarray]]


def double_bicubic(x: jax.Array, padding: int = 0) -> jax.Array:
  """Bicubic (a = -0.75) upsampling to twice the size, corners aligned, input edge-padded.

  Output pixel i of 2n is at i (n - 1) / (2n - 1) of the input: slightly before i / 2. So all even
  and all odd pixels have the same neighbours, with weights that change along the axis. Computed as
  sums of shifted products without gathers, forward and backward (there is no jvp).

  The result is edge-padded by 0 to 2 pixels, cheaper than by jnp.pad:
  [b h w c] -> [b 2h+2padding 2w+2padding c].
  """
  if not 0 <= padding <= 2:
    raise ValueError(f'padding is {padding}; it must be 0, 1 or 2')
  for axis in (1, 2):
    x = _double(x, axis, padding)
  return x


def bilinear(x: jax.Array, shape: tuple[int, int]) -> jax.Array:
  """Bilinear, corners aligned (align_corners=True): [b h w c] -> [b *shape c].

  Output pixel i of m is at i (n - 1) / (m - 1) of the input.
  """
  if tuple(shape) == x.shape[1:3]:
    return x
  by_rows, by_matrices = (
    functools.partial(f, shape=tuple(shape), taps=_aligned) for f in (_gathered, _products)
  )
  # Gathers are 6 to 15 times faster than matrix products on CPU, and slow on accelerators.
  return jax.lax.platform_dependent(x, cpu=by_rows, default=by_matrices)


def bicubic(x: jax.Array, shape: tuple[int, int]) -> jax.Array:
  """Bicubic (a = -0.75), half-pixel centres, edge-padded, no antialiasing: -> [b *shape c]."""
  return _products(x, shape, _centred)


def _gathered(x: jax.Array, shape: tuple[int, int], taps: Callable[..., _Taps]) -> jax.Array:
  """Interpolates each axis by the sum of weighted rows."""
  for axis, m in zip((1, 2), shape, strict=True):
    weighted = taps(x.shape[axis], m)
    x = sum(x.take(index, axis) * _along(weights, axis, x.dtype) for index, weights in weighted)
  return x


def _products(x: jax.Array, shape: tuple[int, int], taps: Callable[..., _Taps]) -> jax.Array:
  """Interpolates each axis by a matrix product."""
  for axis, m in zip((1, 2), shape, strict=True):
    matrix = np.zeros((m, x.shape[axis]), np.float32)
    for index, weights in taps(x.shape[axis], m):
      np.add.at(matrix, (np.arange(m), index), weights)
    matrix = jnp.asarray(matrix, x.dtype)
    x = jnp.moveaxis(jnp.tensordot(matrix, x, (1, axis), precision='highest'), 0, axis)
  return x


def _aligned(n: int, m: int) -> _Taps:
  """The taps of `bilinear` along one axis of n pixels."""
  at = np.arange(m) * ((n - 1) / max(m - 1, 1))
  first = at.astype(int)
  return [(first, 1 - (at - first)), (np.minimum(first + 1, n - 1), at - first)]


def _centred(n: int, m: int) -> _Taps:
  """The taps of `bicubic` along one axis of n pixels."""
  at = (np.arange(m) + 0.5) * n / m - 0.5
  first = np.floor(at).astype(int)
  weights = enumerate(_cubic(at - first), start=-1)
  return [(np.clip(first + j, 0, n - 1), w) for j, w in weights]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _double(x: jax.Array, axis: int, padding: int) -> jax.Array:
  """Upsampling and padding along one axis."""
  # Without the barrier XLA recomputes each sum for the five that use it; compiling takes minutes.
  x = jax.lax.optimization_barrier(x)
  n, extra = x.shape[axis], _extra(padding)
  count = n + 2 * extra
  x = _zero_pad(x, axis, extra + _RADIUS)
  parts = [jax.lax.slice_in_dim(x, j, j + count, axis=axis) for j in range(2 * _RADIUS + 1)]
  both = [
    sum(_along(taps[j], axis, x.dtype) * part for j, part in enumerate(parts) if taps[j].any())
    for taps in _taps(n, padding)
  ]
  pair = jnp.stack(both, axis + 1).reshape(*x.shape[:axis], 2 * count, *x.shape[axis + 1 :])
  cut = 2 * extra - padding
  return jax.lax.slice_in_dim(pair, cut, 2 * count - cut, axis=axis)


def _backward(axis: int, padding: int, _: None, gradient: jax.Array) -> tuple[jax.Array]:
  """The product with the transposed matrix, also by shifted products."""
  extra, g = _extra(padding), jax.lax.optimization_barrier(gradient)
  n = g.shape[axis] // 2 - padding
  g = _zero_pad(g, axis, 2 * extra - padding)
  g = g.reshape(*g.shape[:axis], n + 2 * extra, 2, *g.shape[axis + 1 :])
  total = 0.0
  for parity, taps in enumerate(_taps(n, padding)):
    own = _zero_pad(jax.lax.index_in_dim(g, parity, axis + 1, keepdims=False), axis, _RADIUS)
    taps = np.pad(taps, ((0, 0), (_RADIUS, _RADIUS)))
    for j in range(2 * _RADIUS + 1):
      first = extra + 2 * _RADIUS - j
      weights = taps[j, first : first + n]
      if weights.any():
        part = jax.lax.slice_in_dim(own, first, first + n, axis=axis)
        total += _along(weights, axis, g.dtype) * part
  return (total,)


_double.defvjp(lambda *arguments: (_double(*arguments), None), _backward)


def _extra(padding: int) -> int:
  """Pairs of output pixels that hold the padding, at each end."""
  return (padding + 1) // 2


def _zero_pad(x: jax.Array, axis: int, size: int) -> jax.Array:
  widths = [(0, 0, 0)] * x.ndim
  widths[axis] = (size, size, 0)
  return jax.lax.pad(x, jnp.zeros((), x.dtype), widths)


def _along(weights: np.ndarray, axis: int, dtype: jnp.dtype) -> jax.Array:
  """Weights [n] along an axis, to broadcast over [b h w c]."""
  return jnp.asarray(weights, dtype).reshape([-1 if i == axis else 1 for i in range(4)])


@functools.lru_cache(maxsize=64)
def _taps(n: int, padding: int) -> np.ndarray:
  """Weights [2 5 n'] of the input pixels k - 2 to k + 2 in the output pixels 2k and 2k + 1.

  k covers the n input pixels and the padding. The weights of pixels beyond the input are added to
  those of its edge pixel.
  """
  extra = _extra(padding)
  k = np.arange(-extra, n + extra)
  out = np.zeros((2, 2 * _RADIUS + 1, len(k)))
  for parity in (0, 1):
    row = np.clip(2 * k + parity, 0, 2 * n - 1)
    at = row * ((n - 1) / (2 * n - 1))
    # The last output pixel is at the last input pixel; its other three weights are 0.
    first = np.where(row % 2, row // 2 - 1, row // 2 - 2)
    for j, weights in enumerate(_cubic(at - first - 1)):
      source = np.clip(first + j, 0, n - 1)
      np.add.at(out[parity], (source - k + _RADIUS, np.arange(len(k))), weights)
  return out.astype(np.float32)


def _cubic(t: np.ndarray) -> np.ndarray:
  """Keys' kernel with a = -0.75 at distances t + 1, t, 1 - t, 2 - t: [n] -> [4 n]."""
  a = -0.75
  near = lambda d: ((a + 2) * d - (a + 3)) * d * d + 1  # noqa: E731
  far = lambda d: ((a * d - 5 * a) * d + 8 * a) * d - 4 * a  # noqa: E731
  return np.stack([far(t + 1), near(t), near(1 - t), far(2 - t)])
