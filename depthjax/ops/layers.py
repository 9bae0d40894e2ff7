"""Layered scenes on the device: complete RGBA layers, near first, each on a plane of disparity.

The planes are [l 3]: layer i has the disparity p0 + p1*x + p2*y, where x and y run from -.5 to .5
over the width and the height of the unpadded frame. Flat layers have p1 = p2 = 0.
"""

import jax.numpy as jnp
from jax import lax

from depthjax.ops.colour import srgb_to_linear


def unpack(layers):
  """Decodes stored layers: uint8 sRGB RGBA [l hp wp 4], straight alpha.

  Returns:
    Linear light [l hp wp 3] and alpha [l hp wp], both float32 in [0, 1].
  """
  layers = layers.astype(jnp.float32) / 255
  return srgb_to_linear(layers[..., :3]), layers[..., 3]


def crop(x, pad):
  """Cuts the padding off layers [l hp wp ...]: gives [l h w ...]."""
  return x[:, pad : x.shape[1] - pad, pad : x.shape[2] - pad]


def plane_disparity(planes, h, w, pad=0, relief=None):
  """Disparity of every layer at the pixel centres of a frame and `pad` pixels around it.

  Args:
    planes: planes of disparity [l 3].
    h: rows of the unpadded frame.
    w: columns of the unpadded frame.
    pad: pixels around the frame.

  Returns:
    Disparity [l h+2*pad w+2*pad].
  """
  y = (jnp.arange(-pad, h + pad, dtype=jnp.float32) + 0.5) / h - 0.5
  x = (jnp.arange(-pad, w + pad, dtype=jnp.float32) + 0.5) / w - 0.5
  p0, p1, p2 = jnp.moveaxis(planes[:, :, None, None], 1, 0)
  disparity = p0 + p1 * x + p2 * y[:, None]
  return disparity if relief is None else disparity + relief


def visibility(alpha):
  """Share [l h w] of each layer in the composite of alphas [l h w] in [0, 1], near first.

  The shares of a pixel sum to 1 where the last layer is opaque.
  """
  through = jnp.cumprod(1 - alpha, axis=0)
  return alpha * jnp.concatenate([jnp.ones_like(alpha[:1]), through[:-1]])


def composite(colour, alpha):
  """Lays near layers over far ones.

  Args:
    colour: linear light [l h w 3], straight (not premultiplied).
    alpha: coverage [l h w] in [0, 1].

  Returns:
    Image [h w 3] in linear light.
  """
  return jnp.sum(colour * visibility(alpha)[..., None], axis=0)


def front_disparity(disparity, silhouettes):
  """Disparity [h w 1] seen from the camera: an "over" of the layers' disparities.

  Args:
    disparity: disparity of each layer [l h w], near first.
    silhouettes: what each layer covers [l h w] in [0, 1]; soft edges mix disparities.
  """
  return jnp.sum(disparity * visibility(silhouettes), axis=0)[..., None]


def premultiplied(colour, alpha):
  """Layers as the renderers take them: planar, columns innermost, colour times alpha.

  Args:
    colour: linear light [l hp wp 3], straight.
    alpha: coverage [l hp wp] in [0, 1].

  Returns:
    Colour [l 3 hp wp] and alpha [l 1 hp wp].
  """
  alpha = jnp.asarray(alpha)[:, None]
  return jnp.moveaxis(colour, -1, 1) * alpha, alpha


def translated(planar, layer, offset, pad):
  """One layer at pixel + offset, bilinearly, for an offset that all pixels share: no gather.

  Args:
    planar: layers [l c hp wp].
    layer: index of the layer.
    offset: (x, y) in pixels [2]; beyond +-pad it is held at the border of the padding.
    pad: padding of the layers.

  Returns:
    The frame [c h w].
  """
  _, c, hp, wp = planar.shape
  whole = jnp.floor(offset)
  x, y = offset - whole
  column, row = whole.astype(jnp.int32) + pad

  def tap(down, right):
    # A slice a tap: XLA makes four of these one vector loop on CPU, but not four views of one
    # slice. Starts beyond the padding are clamped, tap by tap.
    start, size = (layer, 0, row + down, column + right), (1, c, hp - 2 * pad, wp - 2 * pad)
    return lax.dynamic_slice(planar, start, size, allow_negative_indices=False)[0]

  return _bilinear(tap, x, y)


def displaced(planar, layer, offset, pad):
  """One layer at pixel + offset, bilinearly, for offsets that differ between pixels: a gather.

  Args:
    planar: layers [l c hp wp].
    layer: index of the layer.
    offset: (x, y) in pixels, each [h w]; beyond the padding its border continues.
    pad: padding of the layers.

  Returns:
    The frame [c h w].
  """
  _, c, hp, wp = planar.shape
  x = jnp.clip(jnp.arange(pad, wp - pad) + offset[0], 0, wp - 1)
  y = jnp.clip(jnp.arange(pad, hp - pad)[:, None] + offset[1], 0, hp - 1)
  column, row = jnp.minimum(jnp.floor(x), wp - 2), jnp.minimum(jnp.floor(y), hp - 2)
  corner = row.astype(jnp.int32) * wp + column.astype(jnp.int32)
  pixels = jnp.asarray(planar)[layer].reshape(c, hp * wp)

  def tap(down, right):
    return pixels.at[:, corner + (down * wp + right)].get(mode='promise_in_bounds')

  return _bilinear(tap, x - column, y - row)


def _bilinear(tap, x, y):
  """Mixes the four neighbours tap(down, right) of a point x, y in [0, 1] beyond the first."""
  near = tap(0, 0) * ((1 - x) * (1 - y)) + tap(0, 1) * (x * (1 - y))
  return near + tap(1, 0) * ((1 - x) * y) + tap(1, 1) * (x * y)


def along_plane(disparity, plane, shift):
  """Disparity [h w] of the point of a plane that a shift by its own disparity brings to a pixel.

  The point X that lands on pixel x obeys X = x + d(X)*shift. As d is linear in X, its disparity
  is d(x) / (1 - shift . gradient of d).

  Args:
    disparity: disparity of the plane at each pixel [h w], less any constant that does not shift.
    plane: (p0, p1, p2) [3].
    shift: pixels per unit of disparity (x, y) [2].
  """
  h, w = disparity.shape
  slope = shift[0] * plane[1] / w + shift[1] * plane[2] / h
  # At slope 1 the plane is seen edge on; beyond, from behind. Neither has a picture.
  return disparity / jnp.maximum(1 - slope, 1e-3)


def view(colour, alpha, planes, shift, pad, *, tilted=None):
  """The scene from a camera moved sideways: every layer shifted by disparity * shift.

  Args:
    colour: linear light [l hp wp 3], straight.
    alpha: coverage [l hp wp] in [0, 1].
    planes: planes of disparity [l 3].
    shift: (x, y) pixels per unit of disparity by which the content moves [2]; |shift| times the
      largest disparity must not exceed `pad`.
    pad: padding of the layers.
    tilted: static indices of the layers whose slope counts; None means all. Layers not named
      are treated as flat, which needs no gather.

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
      sampled, offset = displaced, (-shift[0] * disparity, -shift[1] * disparity)
    else:
      disparity = jnp.full(centres[i].shape, planes[i, 0])
      sampled, offset = translated, -shift * planes[i, 0]
    cover = sampled(alpha, i, offset, pad)
    image = sampled(colour, i, offset, pad) + (1 - cover) * image
    seen = disparity * cover + (1 - cover) * seen
  return jnp.moveaxis(image, 0, -1), jnp.moveaxis(seen, 0, -1)
