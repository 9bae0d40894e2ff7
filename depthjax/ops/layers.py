"""Renders layered scenes: complete RGBA layers, near first, each on a plane of disparity.

Planes are [l 3]: layer i has the disparity p0 + p1*x + p2*y, where x and y range from -.5 to .5
over the width and height of the unpadded frame. Flat layers have p1 = p2 = 0.
"""

import functools
import math

import jax.numpy as jnp
from jax import lax

from depthjax.ops.colour import srgb_to_linear

_TILE = (128, 128)  # Rows and columns that `_summed` renders at once.
_ITERATIONS = 6  # If each divides the error by 3, one of 20 px falls below 0.03 px.


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
  """Disparity [l h+2*pad w+2*pad] of planes [l 3] at the pixel centres of a padded frame.

  `relief` is disparity added to the planes [l hp wp], padded by at least `pad` pixels.
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
  """Image [h w 3] of layers near over far: linear light [l h w 3], straight, and alpha [l h w]."""
  return jnp.sum(colour * visibility(alpha)[..., None], axis=0)


def front_disparity(disparity, silhouettes):
  """Disparity [h w 1] of the visible surface: the disparities [l h w] of layers composited.

  Silhouettes [l h w] are coverage in [0, 1]; soft edges blend disparities.
  """
  return jnp.sum(disparity * visibility(silhouettes), axis=0)[..., None]


def premultiplied(colour, alpha):
  """Premultiplied colour [l 3 hp wp] and alpha [l 1 hp wp], the layout of the renderers.

  From straight colour [l hp wp 3] and alpha [l hp wp].
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
  c, hp, wp = planar.shape[1:]
  floor = jnp.floor(offset)
  x, y = offset - floor
  column, row = floor.astype(jnp.int32) + pad

  def tap(down, right):
    # A separate slice for each tap: XLA fuses these into one vector loop on CPU, but not four
    # slices of one slice. dynamic_slice clamps each start to the padding.
    start, size = (layer, 0, row + down, column + right), (1, c, hp - 2 * pad, wp - 2 * pad)
    return lax.dynamic_slice(planar, start, size, allow_negative_indices=False)[0]

  return _bilinear(tap, x, y)


def displaced(planar, layer, amount, direction, pad):
  """Samples one layer bilinearly at pixel + amount * direction, one amount per pixel.

  A gather, except on a TPU, which gathers one element at a time: there it is a sum of slices. Both
  agree to rounding.

  Args:
    planar: layers [l c hp wp].
    layer: index of the layer.
    amount: factor of the direction at each pixel [h w].
    direction: (x, y) in pixels per unit of amount [2]; displacements must not exceed `pad`.
    pad: padding of the layers.

  Returns:
    The frame [c h w]. It has no reverse-mode derivative: loops of `_summed` depend on the data.
  """
  on_tpu, elsewhere = (functools.partial(f, layer=layer, pad=pad) for f in (_summed, _gathered))
  return lax.platform_dependent(planar, amount, direction, tpu=on_tpu, default=elsewhere)


def _gathered(planar, amount, direction, *, layer, pad):
  """`displaced` by a gather of four neighbours."""
  c, hp, wp = planar.shape[1:]
  x = jnp.clip(jnp.arange(pad, wp - pad) + amount * direction[0], 0, wp - 1)
  y = jnp.clip(jnp.arange(pad, hp - pad)[:, None] + amount * direction[1], 0, hp - 1)
  column, row = jnp.minimum(jnp.floor(x), wp - 2), jnp.minimum(jnp.floor(y), hp - 2)
  corner = row.astype(jnp.int32) * wp + column.astype(jnp.int32)
  pixels = jnp.asarray(planar)[layer].reshape(c, hp * wp)

  def tap(down, right):
    return pixels.at[:, corner + (down * wp + right)].get(mode='promise_in_bounds')

  return _bilinear(tap, x - column, y - row)


def _summed(planar, amount, direction, *, layer, pad):
  """`displaced` by a sum of shifted slices.

  Each slice is weighted per pixel by max(0, 1 - distance) along both axes, which is bilinear. All
  displacements are parallel, so few shifts have a weight: at each integer shift along the larger
  component of the direction (major), four along the other (minor). Each tile of the frame loops
  over its own range of shifts, short for smooth amounts.
  """
  c, hp, wp = planar.shape[1:]
  h, w = hp - 2 * pad, wp - 2 * pad
  vertical = jnp.abs(direction[1]) >= jnp.abs(direction[0])
  major, minor = (jnp.where(vertical, *pair) for pair in (direction[::-1], direction))
  ratio = minor / jnp.where(major == 0, 1, major)
  along = jnp.clip(amount * major, -pad, pad)
  th, tw = min(_TILE[0], h), min(_TILE[1], w)
  tile_rows, tile_columns = math.ceil(h / th), math.ceil(w / tw)

  def render(number, frame):
    row = jnp.minimum(number // tile_columns * th, h - th)
    column = jnp.minimum(number % tile_columns * tw, w - tw)
    major = lax.dynamic_slice(along, (row, column), (th, tw))
    first, last = jnp.floor(major.min()), jnp.ceil(major.max())
    # Broadcast here: otherwise a TPU computes the weights of every step in a separate kernel.
    major = lax.optimization_barrier(jnp.broadcast_to(major, (c, th, tw)))

    def add(step, total):
      k = first + step.astype(jnp.float32)
      # |ratio| <= 1: where |major - k| < 1, major * ratio is within 1 of k * ratio.
      start, minor, taps = jnp.floor(k * ratio) - 1, major * ratio, 0
      for n in (start + i for i in range(4)):
        dy, dx = (jnp.where(vertical, *pair).astype(jnp.int32) for pair in ((k, n), (n, k)))
        at = layer, 0, row + pad + dy, column + pad + dx
        piece = lax.dynamic_slice(planar, at, (1, c, th, tw), allow_negative_indices=False)[0]
        taps = taps + jnp.maximum(1 - jnp.abs(minor - n), 0) * piece
      return total + jnp.maximum(1 - jnp.abs(major - k), 0) * taps

    steps = (last - first).astype(jnp.int32) + 1
    total = lax.fori_loop(0, steps, add, jnp.zeros((c, th, tw), planar.dtype))
    return lax.dynamic_update_slice(frame, total, (0, row, column))

  frame = jnp.zeros((c, h, w), planar.dtype)
  return lax.fori_loop(0, tile_rows * tile_columns, render, frame)


def _bilinear(tap, x, y):
  """Interpolates between the neighbours tap(down, right) at the fractions x and y."""
  near = tap(0, 0) * ((1 - x) * (1 - y)) + tap(0, 1) * (x * (1 - y))
  return near + tap(1, 0) * ((1 - x) * y) + tap(1, 1) * (x * y)


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
  """View from a camera translated sideways, as of a stereo pair: layers shift by disparity * shift.

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
