"""Bicubic enlargement with aligned corners, as decoders of PyTorch do it."""

import jax
import jax.numpy as jnp
import numpy as np


def doubled_cubic(x: jax.Array) -> jax.Array:
  """Bicubic at twice the size, corners aligned (a = -0.75, border repeated): [b h w c] -> 2h 2w.

  Pixel i of 2n lies at i (n - 1) / (2n - 1) of the input: a little before i / 2, so that even and
  odd pixels each have the same four neighbours all along, of weights that change. Sums of shifted
  products, with no gather and no dense matrix.
  """
  for axis in (1, 2):
    n = x.shape[axis]
    border = [(0, 0)] * 4
    border[axis] = (2, 2)
    padded = jnp.pad(x, border, mode='edge')
    parts = [jax.lax.slice_in_dim(padded, j, j + n, axis=axis) for j in range(5)]
    shape = [1] * 4
    shape[axis] = n
    even, odd = (taps.reshape(4, *shape).astype(x.dtype) for taps in _cubic_taps(n))
    pair = jnp.stack(
      [sum(taps[j] * parts[first + j] for j in range(4)) for first, taps in ((0, even), (1, odd))],
      axis + 1,
    )
    x = pair.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
  return x


def _cubic_taps(n: int) -> tuple[np.ndarray, np.ndarray]:
  """Weights [4 n] of pixels k - 2 .. k + 1 in pixel 2k, and of k - 1 .. k + 2 in 2k + 1."""
  k = np.arange(n)
  # Behind the second of the four; at k = 0 the first pixel itself.
  even, odd = 1 - k / (2 * n - 1), 0.5 - (2 * k + 1) / (2 * (2 * n - 1))
  return _cubic(even).astype(np.float32), _cubic(odd).astype(np.float32)


def _cubic(t: np.ndarray) -> np.ndarray:
  """Keys' kernel with a = -0.75 at distances t + 1, t, 1 - t, 2 - t: [n] -> [4 n]."""
  a = -0.75
  near = lambda d: ((a + 2) * d - (a + 3)) * d * d + 1  # noqa: E731
  far = lambda d: ((a * d - 5 * a) * d + 8 * a) * d - 4 * a  # noqa: E731
  return np.stack([far(t + 1), near(t), near(1 - t), far(2 - t)])
