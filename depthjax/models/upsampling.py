"""Bicubic enlargement with aligned corners, as decoders of PyTorch do it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

# How far a pixel's neighbours are from half its place, at most, in the input.
_REACH = 2


def doubled_cubic(x: jax.Array, border: int = 0) -> jax.Array:
  """Bicubic at twice the size, corners aligned (a = -0.75, the input's border repeated).

  Pixel i of 2n lies at i (n - 1) / (2n - 1) of the input: a little before i / 2, so that even and
  odd pixels each have the same four neighbours all along, of weights that change. Sums of shifted
  products, with no gather and no dense matrix, forward and backward (there is no jvp).

  Args:
    x: maps [b h w c].
    border: pixels, up to 2, by which the result goes on beyond each side, as its edge pixels do.
      Made here they cost nothing; padding the result would copy it.

  Returns:
    [b 2h+2border 2w+2border c].
  """
  if not 0 <= border <= 2:
    raise ValueError(f'the border is {border} pixels; it can be 0, 1 or 2')
  for axis in (1, 2):
    x = _doubled(x, axis, border)
  return x


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _doubled(x: jax.Array, axis: int, border: int) -> jax.Array:
  """Twice as long along one axis, and the border."""
  # Or compilers make every sum anew for each of the five sums over it, and compile for minutes.
  x = jax.lax.optimization_barrier(x)
  n, more = x.shape[axis], _extra(border)
  count = n + 2 * more
  x = _grown(x, axis, more + _REACH)
  parts = [jax.lax.slice_in_dim(x, j, j + count, axis=axis) for j in range(2 * _REACH + 1)]
  both = [
    sum(_along(taps[j], axis, x.dtype) * part for j, part in enumerate(parts) if taps[j].any())
    for taps in _taps(n, border)
  ]
  pair = jnp.stack(both, axis + 1).reshape(*x.shape[:axis], 2 * count, *x.shape[axis + 1 :])
  cut = 2 * more - border
  return jax.lax.slice_in_dim(pair, cut, 2 * count - cut, axis=axis)


def _forward(x: jax.Array, axis: int, border: int) -> tuple[jax.Array, None]:
  return _doubled(x, axis, border), None


def _backward(axis: int, border: int, _: None, gradient: jax.Array) -> tuple[jax.Array]:
  """The product with the transposed matrix, by shifted products as well."""
  more, g = _extra(border), jax.lax.optimization_barrier(gradient)
  n = g.shape[axis] // 2 - border
  g = _grown(g, axis, 2 * more - border)
  g = g.reshape(*g.shape[:axis], n + 2 * more, 2, *g.shape[axis + 1 :])
  total = 0.0
  for half, taps in enumerate(_taps(n, border)):
    own = _grown(jax.lax.index_in_dim(g, half, axis + 1, keepdims=False), axis, _REACH)
    taps = np.pad(taps, ((0, 0), (_REACH, _REACH)))
    for j in range(2 * _REACH + 1):
      start = more + 2 * _REACH - j
      weights = taps[j, start : start + n]
      if weights.any():
        part = jax.lax.slice_in_dim(own, start, start + n, axis=axis)
        total += _along(weights, axis, g.dtype) * part
  return (total,)


_doubled.defvjp(_forward, _backward)


def _extra(border: int) -> int:
  """Pairs of pixels beyond each side that hold the border."""
  return (border + 1) // 2


def _grown(x: jax.Array, axis: int, size: int) -> jax.Array:
  """With zeros on both sides."""
  widths = [(0, 0, 0)] * x.ndim
  widths[axis] = (size, size, 0)
  return jax.lax.pad(x, jnp.zeros((), x.dtype), widths)


def _along(weights: np.ndarray, axis: int, dtype: jnp.dtype) -> jax.Array:
  """Weights [n] of the places along an axis of maps."""
  return jnp.asarray(weights, dtype).reshape([-1 if i == axis else 1 for i in range(4)])


@functools.lru_cache(maxsize=64)
def _taps(n: int, border: int) -> np.ndarray:
  """Weights [2 5 n'] of the pixels k - 2 .. k + 2 in the pixels 2k and 2k + 1, for n' values of k.

  They go from the border before the first pixel to the one behind the last. What would lie beyond
  the input is counted to its edge pixel, and has the weight 0 itself.
  """
  more = _extra(border)
  k = np.arange(-more, n + more)
  out = np.zeros((2, 2 * _REACH + 1, len(k)))
  for half in (0, 1):
    row = np.clip(2 * k + half, 0, 2 * n - 1)
    at = row * ((n - 1) / (2 * n - 1))
    # The last pixel has its neighbours as all odd ones do: all but one weigh nothing there.
    first = np.where(row % 2, row // 2 - 1, row // 2 - 2)
    for j, weights in enumerate(_cubic(at - first - 1)):
      source = np.clip(first + j, 0, n - 1)
      np.add.at(out[half], (source - k + _REACH, np.arange(len(k))), weights)
  return out.astype(np.float32)


def _cubic(t: np.ndarray) -> np.ndarray:
  """Keys' kernel with a = -0.75 at distances t + 1, t, 1 - t, 2 - t: [n] -> [4 n]."""
  a = -0.75
  near = lambda d: ((a + 2) * d - (a + 3)) * d * d + 1  # noqa: E731
  far = lambda d: ((a * d - 5 * a) * d + 8 * a) * d - 4 * a  # noqa: E731
  return np.stack([far(t + 1), near(t), near(1 - t), far(2 - t)])
