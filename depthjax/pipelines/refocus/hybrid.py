"""Two renderers in one picture: the learned one beside depth edges, the classical one elsewhere.

Without a depth edge in reach every pixel's disc is its own, and spreading it is exact; the learned
renderer is as good as its training there. Beside an edge the classical one leaks what is in focus
into the blur, and knows nothing of what is hidden: there the learned one is asked. (The division
of labour is that of Peng et al., "BokehMe", CVPR 2022, whose share is predicted by a network.)
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from depthjax.ops import colour, resize

# A change of normalised disparity within three pixels of the lowest level: up to the first it is
# relief, from the second on it is an edge.
_RELIEF, _EDGE = 0.04, 0.1


def share(disparity: np.ndarray, defocus: np.ndarray, count: int, limit: float) -> np.ndarray:
  """How much of each pixel is the learned renderer's: float32 [h w 1] in [0, 1].

  1 within the blur radius of an edge, falling smoothly to 0 at two radii (of the wider blur of its
  two sides, and one pixel more), on the lowest level of the pyramid, then enlarged bilinearly.

  Args:
    disparity: normalised disparity [h w 1].
    defocus: signed blur radius in pixels [h w 1].
    count: doublings from the lowest level to the picture.
    limit: largest blur radius in pixels of the lowest level.
  """
  h, w = disparity.shape[:2]
  border = ((0, -h % 2**count), (0, -w % 2**count), (0, 0))
  padded = (np.pad(x, border, 'edge') for x in (disparity, defocus))
  return np.asarray(_share(*padded, count, math.ceil(limit)))[:h, :w]


@jax.jit
def mix(classical: jax.Array, learned: jax.Array, share: jax.Array) -> jax.Array:
  """Both pictures, sRGB [h w 3], mixed in linear light by the learned one's share [h w 1]."""
  classical, learned = colour.srgb_to_linear(classical), colour.srgb_to_linear(learned)
  return colour.linear_to_srgb(classical + share * (learned - classical))


@functools.partial(jax.jit, static_argnames=('count', 'limit'))
def _share(disparity: jax.Array, defocus: jax.Array, count: int, limit: int) -> jax.Array:
  shape, scale = disparity.shape[:2], 2**count
  low = resize.downsample(disparity, scale)[..., 0]
  radius = resize.downsample(jnp.abs(defocus), scale)[..., 0] / scale
  span = _around(low, lax.max, -jnp.inf) - _around(low, lax.min, jnp.inf)
  edge = _smooth((span - _RELIEF) / (_EDGE - _RELIEF))
  return resize.upsample(_reached(edge, radius, limit)[..., None], shape)


def _around(x: jax.Array, best, start: float) -> jax.Array:
  """The largest or smallest of 3 x 3 pixels [h w]."""
  return lax.reduce_window(x, start, best, (3, 3), (1, 1), 'SAME')


def _reached(edge: jax.Array, radius: jax.Array, limit: int) -> jax.Array:
  """The strongest edge that a pixel is in reach of: [h w] in [0, 1]."""
  margin = 2 * (limit + 1)
  h, w = edge.shape
  edge, reach = (jnp.pad(x, margin) for x in (edge, radius + 1))

  def stronger(result, step):
    corner, distance = step
    part_edge, part_reach = (lax.dynamic_slice(x, corner, (h, w)) for x in (edge, reach))
    # Where nothing is, beyond the frame, the reach is 0: no edge is there either.
    near = _smooth(2 - distance / jnp.maximum(part_reach, 1))
    return jnp.maximum(result, part_edge * near), None

  rows, columns = np.mgrid[-margin : margin + 1, -margin : margin + 1]
  distance = np.hypot(rows, columns).astype(np.float32)
  within = distance < margin
  corners = jnp.asarray(np.stack([rows[within], columns[within]], axis=-1) + margin)
  steps = (corners, jnp.asarray(distance[within]))
  return lax.scan(stronger, jnp.zeros((h, w), jnp.float32), steps)[0]


def _smooth(x: jax.Array) -> jax.Array:
  """From 0 at 0 to 1 at 1 without a corner."""
  x = jnp.clip(x, 0, 1)
  return x * x * (3 - 2 * x)
