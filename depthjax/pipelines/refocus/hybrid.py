"""Blend of two renderers: the learned one near depth edges, the classical one elsewhere.

Away from depth edges scattering is exact, and the learned renderer only approximates it. Near the
edge of a blurred foreground the classical renderer lacks the hidden background, so the learned one
is used there. Behind a sharp foreground the classical renderer, with occlusion, is right if the
disparity is: it gets three quarters of the weight. (Peng et al., "BokehMe", CVPR 2022, divide the
picture in a similar way, with a fraction predicted by a network.)
"""

import functools
import math

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from depthjax.ops import colour, filters, resize
from depthjax.pipelines import tiles

# Range of normalised disparity in 3 x 3 pixels of the lowest level: up to the first value there is
# no edge, from the second on a full one.
_RELIEF, _EDGE = 0.04, 0.1
# Weight of the learned renderer behind a sharp foreground; of 0, 0.25, 0.3, 0.4, 0.5 and 1 the
# least that is not worse than 1 on five real pairs (docs/models/lensblur.md).
_BEHIND = 0.25
_BUCKET = 128  # As in learned.py.


def fraction(
  disparity: np.ndarray, defocus: np.ndarray, focus: float, count: int, limit: float
) -> np.ndarray:
  """Fraction of the learned renderer at each pixel: float32 [h w 1] in [0, 1].

  That of the edges in front of the focal plane, or a quarter of that of all edges; arguments as in
  `near_edges`, and the disparity in focus.
  """
  fields = {'count': count, 'limit': limit}
  front = near_edges(np.maximum(disparity, np.float32(focus)), np.maximum(defocus, 0), **fields)
  return np.maximum(front, _BEHIND * near_edges(disparity, defocus, **fields))


def near_edges(disparity: np.ndarray, defocus: np.ndarray, count: int, limit: float) -> np.ndarray:
  """How near each pixel is to a depth edge: float32 [h w 1] in [0, 1].

  1 within the blur radius of an edge (the larger one of its two sides, plus one pixel), falling
  smoothly to 0 at twice the radius. Computed at the lowest level of the pyramid and upsampled
  bilinearly.

  Args:
    disparity: normalised disparity [h w 1].
    defocus: signed blur radius in pixels [h w 1].
    count: doublings from the lowest level to the picture.
    limit: largest blur radius in pixels of the lowest level.
  """
  scale = 2**count
  low = tiles.blockwise(functools.partial(_reduced, scale=scale), disparity, defocus)
  h, w = low[0].shape[:2]
  # Few programs for pictures of many sizes. There is no edge in the padding.
  padding = ((0, -h % _BUCKET), (0, -w % _BUCKET))
  low = (np.pad(x[..., 0], padding, 'edge') for x in low)
  result = np.asarray(_fraction(*low, math.ceil(limit)))[:h, :w]
  result = cv2.resize(result, (w * scale, h * scale), interpolation=cv2.INTER_LINEAR)
  return result[: disparity.shape[0], : disparity.shape[1], None]


def mix(classical: np.ndarray, learned: np.ndarray, fraction: np.ndarray) -> np.ndarray:
  """Blends two sRGB pictures [h w 3] in linear light by the learned one's fraction [h w 1]."""
  fraction = np.broadcast_to(fraction, (*classical.shape[:2], 1))
  return tiles.blockwise(_mix, classical, learned, fraction)


@jax.jit
def _mix(classical: jax.Array, learned: jax.Array, fraction: jax.Array) -> jax.Array:
  classical, learned = colour.srgb_to_linear(classical), colour.srgb_to_linear(learned)
  return colour.linear_to_srgb(classical + fraction * (learned - classical))


@functools.partial(jax.jit, static_argnames='scale')
def _reduced(disparity: jax.Array, defocus: jax.Array, scale: int) -> tuple[jax.Array, jax.Array]:
  """Disparity, and blur radius in pixels of the lowest level."""
  radius = jnp.abs(defocus) / scale
  return resize.downsample(disparity, scale), resize.downsample(radius, scale)


@functools.partial(jax.jit, static_argnames='limit')
def _fraction(low: jax.Array, radius: jax.Array, limit: int) -> jax.Array:
  """`fraction` at the lowest level, from disparity and radius there: [h w]."""
  span = filters.span(low[None, ..., None], 3)[0, ..., 0]
  return _dilated(_smoothstep((span - _RELIEF) / (_EDGE - _RELIEF)), radius, limit)


def _dilated(edge: jax.Array, radius: jax.Array, limit: int) -> jax.Array:
  """Maximum of the edges around each pixel, weighted by distance over their radius: [h w]."""
  margin = 2 * (limit + 1)
  h, w = edge.shape
  edge, radius = (jnp.pad(x, margin) for x in (edge, radius + 1))

  def step(result, offset):
    corner, distance = offset
    part_edge, part_radius = (lax.dynamic_slice(x, corner, (h, w)) for x in (edge, radius))
    # In the padding the radius and the edges are 0.
    near = _smoothstep(2 - distance / jnp.maximum(part_radius, 1))
    return jnp.maximum(result, part_edge * near), None

  rows, columns = np.mgrid[-margin : margin + 1, -margin : margin + 1]
  distance = np.hypot(rows, columns).astype(np.float32)
  within = distance < margin
  corners = jnp.asarray(np.stack([rows[within], columns[within]], axis=-1) + margin)
  offsets = (corners, jnp.asarray(distance[within]))
  return lax.scan(step, jnp.zeros((h, w), jnp.float32), offsets)[0]


def _smoothstep(x: jax.Array) -> jax.Array:
  """Cubic smoothstep from 0 at 0 to 1 at 1."""
  x = jnp.clip(x, 0, 1)
  return x * x * (3 - 2 * x)
