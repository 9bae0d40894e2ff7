"""Renders layered scenes: complete RGBA layers, near first, each on a plane of disparity.

Planes are [l 3]: layer i has the disparity p0 + p1*x + p2*y, where x and y range from -.5 to .5
over the width and height of the unpadded frame. Flat layers have p1 = p2 = 0.
"""

import functools

import jax.numpy as jnp
from jax import lax

from depthjax.ops.colour import srgb_to_linear

# Rows and columns of the tiles of `displaced`: small for the caches of CPUs, larger where every
# step of a loop costs a kernel launch.
_TILE_CPU, _TILE = (32, 128), (128, 128)
# Of a fixed point: if each divides the error by 3, one of 20 px falls below 0.03 px.
_ITERATIONS = 6


def unpack(layers):
  """Decodes stored layers, uint8 sRGB RGBA [l hp wp 4] with straight alpha.

  Returns:
    Linear light [l hp wp 3] and alpha [l hp wp], both float32 in [0, 1].
  """
  layers = layers.astype(jnp.float32) / 255
  return srgb_to_linear(layers[..., :3]), layers[..., 3]


def crop(x, pad):
  """Removes the padding of layers: [l hp wp ...] -> [l h w ...]."""
  return x[:, pad : x.shape[1] - pad, pad : x.shape[2] - pad]


def plane_disparity(planes, h, w, pad=0, relief=None):
  """Disparity of every layer at the pixel centres of a frame with padding.

  Args:
    planes: planes of disparity [l 3].
    h: rows of the unpadded frame.
    w: columns of the unpadded frame.
    pad: padding in pixels.
    relief: disparity added to the planes [l hp wp], padded by at least `pad` pixels.

  Returns:
    Disparity [l h+2*pad w+2*pad].
  """
  y = (jnp.arange(-pad, h + pad, dtype=jnp.float32) + 0.5) / h - 0.5
  x = (jnp.arange(-pad, w + pad, dtype=jnp.float32) + 0.5) / w - 0.5
  p0, p1, p2 = jnp.moveaxis(planes[:, :, None, None], 1, 0)
  plane = p0 + p1 * x + p2 * y[:, None]
  return plane if relief is None else plane + crop(relief, (relief.shape[1] - h) // 2 - pad)


def visibility(alpha):
  """Blending weights [l h w] of layers with alphas [l h w] in [0, 1], near first.

  They sum to 1 where the last layer is opaque.
  """
  through = jnp.cumprod(1 - alpha, axis=0)
  return alpha * jnp.concatenate([jnp.ones_like(alpha[:1]), through[:-1]])


def composite(colour, alpha):
  """Composites near layers over far ones.

  Args:
    colour: linear light [l h w 3], straight (not premultiplied).
    alpha: coverage [l h w] in [0, 1].

  Returns:
    Image [h w 3] in linear light.
  """
  return jnp.sum(colour * visibility(alpha)[..., None], axis=0)


def front_disparity(disparity, silhouettes):
  """Disparity [h w 1] of the visible surface: the layers' disparities composited.

  Args:
    disparity: disparity of each layer [l h w], near first.
    silhouettes: coverage of each layer [l h w] in [0, 1]; soft edges blend disparities.
  """
  return jnp.sum(disparity * visibility(silhouettes), axis=0)[..., None]


def premultiplied(colour, alpha):
  """Layers in the layout of the renderers: premultiplied, channels before rows and columns.

  Args:
    colour: linear light [l hp wp 3], straight.
    alpha: coverage [l hp wp] in [0, 1].

  Returns:
    Colour [l 3 hp wp] and alpha [l 1 hp wp].
  """
  alpha = jnp.asarray(alpha)[:, None]
  return jnp.moveaxis(colour, -1, 1) * alpha, alpha


def translated(planar, layer, offset, pad):
  """Samples one layer bilinearly at pixel + offset, with one offset for all pixels: no gather.

  Args:
    planar: layers [l c hp wp].
    layer: index of the layer.
    offset: (x, y) in pixels [2], clipped to +-pad.
    pad: padding of the layers.

  Returns:
    The frame [c h w].
  """
  _, c, hp, wp = planar.shape
  floor = jnp.floor(offset)
  x, y = offset - floor
  column, row = floor.astype(jnp.int32) + pad

  def tap(down, right):
    # A separate slice for each tap: XLA fuses these into one vector loop on CPU, but not four
    # slices of one slice. dynamic_slice clamps each start to the padding.
    start, size = (layer, 0, row + down, column + right), (1, c, hp - 2 * pad, wp - 2 * pad)
    return lax.dynamic_slice(planar, start, size, allow_negative_indices=False)[0]

  near = tap(0, 0) * ((1 - x) * (1 - y)) + tap(0, 1) * (x * (1 - y))
  return near + tap(1, 0) * ((1 - x) * y) + tap(1, 1) * (x * y)


def displaced(planar, layer, amount, direction, pad):
  """Samples one layer bilinearly at pixel + amount * direction, one amount per pixel: no gather.

  All displacements are parallel, so all taps are on one line of integer offsets. The result is a
  sum of slices shifted along that line, weighted by max(0, 1 - distance) along both axes, which is
  exactly bilinear. For each step along the larger component of the direction ("major") four steps
  along the other one suffice. Tiles are processed one by one, each over its own range of amounts,
  which is short if the amounts are smooth.

  Args:
    planar: layers [l c hp wp].
    layer: index of the layer.
    amount: factor of the direction at each pixel [h w].
    direction: (x, y) in pixels per unit of amount [2]. Displacements are clipped to +-pad.
    pad: padding of the layers.

  Returns:
    The frame [c h w]. It has no reverse-mode derivative: the loops depend on the data.
  """
  vertical = jnp.abs(direction[1]) >= jnp.abs(direction[0])
  major, minor = (jnp.where(vertical, *pair) for pair in (direction[::-1], direction))
  ratio = minor / jnp.where(major == 0, 1, major)
  along = jnp.clip(amount * major, -pad, pad)
  cpu, other = (
    functools.partial(_displaced, layer=layer, pad=pad, tile=tile) for tile in (_TILE_CPU, _TILE)
  )
  return lax.platform_dependent(planar, along, ratio, vertical, cpu=cpu, default=other)


def _displaced(planar, along, ratio, vertical, *, layer, pad, tile):
  """`displaced` for displacements along [h w] in pixels on one axis, ratio * along on the other."""
  _, c, hp, wp = planar.shape
  h, w = hp - 2 * pad, wp - 2 * pad
  th, tw = min(tile[0], h), min(tile[1], w)

  def draw(number, frame):
    row = jnp.minimum(number // -(-w // tw) * th, h - th)
    column = jnp.minimum(number % -(-w // tw) * tw, w - tw)
    offset = lax.dynamic_slice(along, (row, column), (th, tw))
    # Reduced in two steps, since XLA vectorises only the first on CPU.
    low, high = (lax.optimization_barrier(x) for x in (offset.min(axis=0), offset.max(axis=0)))
    first, last = jnp.floor(low.min()), jnp.ceil(high.max())
    # Broadcast here: otherwise a TPU computes the weights of every step in a separate kernel.
    offset = lax.optimization_barrier(jnp.broadcast_to(offset, (c, th, tw)))

    def add(step, total):
      k = first + step.astype(jnp.float32)
      # |ratio| <= 1, so where |offset - k| < 1, offset * ratio is within 1 of k * ratio.
      start, cross, line = jnp.floor(k * ratio) - 1, offset * ratio, 0
      for r in range(4):
        n = start + r
        dy, dx = (jnp.where(vertical, *pair).astype(jnp.int32) for pair in ((k, n), (n, k)))
        at = layer, 0, row + pad + dy, column + pad + dx
        piece = lax.dynamic_slice(planar, at, (1, c, th, tw), allow_negative_indices=False)[0]
        line = line + jnp.maximum(1 - jnp.abs(cross - n), 0) * piece
      return total + jnp.maximum(1 - jnp.abs(offset - k), 0) * line

    steps = (last - first).astype(jnp.int32) + 1
    total = lax.fori_loop(0, steps, add, jnp.zeros((c, th, tw), planar.dtype))
    return lax.dynamic_update_slice(frame, total, (0, row, column))

  tiles = -(-h // th) * -(-w // tw)
  return lax.fori_loop(0, tiles, draw, jnp.zeros((c, h, w), planar.dtype))


def along_plane(disparity, plane, shift):
  """Disparity [h w] of the point of a plane that is projected to each pixel.

  The point X projected to pixel x obeys X = x + d(X)*shift. As d is linear in X, its disparity is
  d(x) / (1 - shift . gradient of d).

  Args:
    disparity: disparity of the plane at each pixel [h w], minus the disparity that is not shifted.
    plane: (p0, p1, p2) [3].
    shift: pixels per unit of disparity (x, y) [2].
  """
  h, w = disparity.shape
  slope = shift[0] * plane[1] / w + shift[1] * plane[2] / h
  # At slope 1 the plane is viewed edge-on and above 1 from behind; the result is then undefined.
  return disparity / jnp.maximum(1 - slope, 1e-3)


def view(colour, alpha, planes, shift, pad, *, tilted=None, relief=None):
  """View from a camera translated sideways: every layer is shifted by disparity * shift.

  Args:
    colour: linear light [l hp wp 3], straight.
    alpha: coverage [l hp wp] in [0, 1].
    planes: planes of disparity [l 3].
    shift: (x, y) displacement of the content in pixels per unit of disparity [2]; |shift| times
      the largest disparity must not exceed `pad`.
    pad: padding of the layers.
    tilted: static indices of the layers that are displaced pixel by pixel; None means all. The
      slope and relief of the others are ignored, which is faster.
    relief: disparity added to the planes [l hp wp], smooth: shift * relief must change by less
      than a third of a pixel from one pixel to the next.

  Returns:
    Image [h w 3] in linear light and disparity [h w 1], soft where alpha is soft.
  """
  count, hp, wp = alpha.shape
  shift = jnp.asarray(shift)
  colour, alpha = premultiplied(colour, alpha)
  centres = plane_disparity(planes, hp - 2 * pad, wp - 2 * pad)
  tilted = range(count) if tilted is None else tilted
  image, seen = 0.0, 0.0
  for i in reversed(range(count)):
    if i in tilted:
      disparity = along_plane(centres[i], planes[i], -shift)
      if relief is not None:
        disparity = _along_relief(centres[i], planes[i], -shift, relief[i], pad)
      sampled, offset = displaced, (disparity, -shift)
    else:
      disparity = jnp.full(centres[i].shape, planes[i, 0])
      sampled, offset = translated, (-shift * planes[i, 0],)
    cover = sampled(alpha, i, *offset, pad)
    image = sampled(colour, i, *offset, pad) + (1 - cover) * image
    seen = disparity * cover + (1 - cover) * seen
  return jnp.moveaxis(image, 0, -1), jnp.moveaxis(seen, 0, -1)


def _along_relief(disparity, plane, shift, relief, pad):
  """`along_plane` for plane + relief [hp wp]: X = x + d(X)*shift by fixed-point iteration."""

  def iterate(_, here):
    total = along_plane(disparity + here, plane, shift)
    return displaced(relief[None, None], 0, total, shift, pad)[0]

  here = lax.fori_loop(0, _ITERATIONS, iterate, crop(relief[None], pad)[0])
  return along_plane(disparity + here, plane, shift)
