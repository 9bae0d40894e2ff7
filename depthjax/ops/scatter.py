"""The classical renderer of single images: each pixel's light is scattered over a disc."""

import jax.numpy as jnp
import numpy as np
from jax import lax

# Pixels of radius over which occlusion sets in, see `spread`.
_TRANSITION = 6.0


def scatter(image, defocus, *, limit):
  """Blurs an image by its defocus, without occlusion, like BokehMe's classical renderer.

  Each pixel is spread over a disc of its radius with a rim one pixel wide and weight 1 / area.
  The sum is divided by the sum of weights. Pixels outside the frame have weight 0. A radius below
  half a pixel leaves the pixel unchanged.

  Args:
    image: linear light [... h w 3].
    defocus: signed blur radius in pixels [... h w 1], clipped to +-limit.
    limit: largest radius in pixels, a static integer.

  Returns:
    Image [... h w 3] in linear light.

  Source: Peng et al., "BokehMe: When Neural Rendering Meets Classical Rendering", CVPR 2022.
  """
  margin = limit + 1

  def padded(x):
    padding = [(0, 0)] * (x.ndim - 3) + [(margin, margin)] * 2 + [(0, 0)]
    return jnp.pad(x, padding)

  inside = padded(jnp.ones_like(defocus))
  return scatter_window(padded(image), padded(defocus), inside, limit=limit)


def scatter_window(image, defocus, inside, *, limit):
  """`scatter` of a window of an image, padded by `limit` + 1 pixels.

  Args:
    image: linear light [... h' w' 3], h' = h + 2 (limit + 1).
    defocus: signed blur radius in pixels [... h' w' 1].
    inside: [... h' w' 1], 1 inside the image, else 0.
    limit: as in `scatter`.

  Returns:
    Image [... h w 3] in linear light, undefined where `inside` is 0.
  """
  radius = jnp.minimum(jnp.abs(defocus), limit)
  # Light and radius stay separate arrays: if sliced from one, XLA's loop on CPU is 10x slower.
  light = jnp.moveaxis(jnp.concatenate([image, inside], axis=-1) * inside, -1, -3)
  total = spread(light, jnp.moveaxis(radius, -1, -3), limit=limit)
  return jnp.moveaxis(total[..., :3, :, :] / total[..., 3:, :, :], -3, -1)


def spread(light, defocus, *, limit, target=None, blades=0):
  """Sums of the light of a window's pixels, each spread over its disc as in `scatter`.

  Args:
    light: any channels, 0 outside the image [... c h' w'], h' = h + 2 (limit + 1).
    defocus: blur radius in pixels, within +-limit [... 1 h' w'].
    limit: as in `scatter`.
    target: blur radii [... 1 h w] of the pixels that the sums are of; None ignores occlusion. A
      pixel behind the focal plane (defocus < 0) is hidden by what is sharper: it reaches the others
      up to their own radius instead of its own, with a transition where the two differ by 6 pixels.
    blades: corners of the aperture, at least 3, a regular polygon in the disc; 0 is the disc.

  Returns:
    Sums [... c h w] within the padding.
  """
  margin = limit + 1
  *shape, h, w = light.shape
  h, w = h - 2 * margin, w - 2 * margin
  radius, shape_area = jnp.abs(defocus), np.pi
  if blades:
    shape_area = blades / 2 * np.sin(2 * np.pi / blades)
  # The area of a disc with a soft rim, or the coverage of one pixel by a smaller disc.
  light = light / jnp.maximum(shape_area * (radius**2 + 1 / 12), radius + 0.5)
  rim = defocus if target is not None else radius + 0.5

  def add(total, step):
    corner, distance = step

    def sources(x):
      x = lax.dynamic_slice_in_dim(x, corner[0], h, axis=-2)
      return lax.dynamic_slice_in_dim(x, corner[1], w, axis=-1)

    reach = sources(rim)
    if target is not None:
      hidden = jnp.maximum(-reach - target, 0)
      reach = jnp.abs(reach) + 0.5 - hidden * jnp.minimum(hidden / _TRANSITION, 1)
    return total + jnp.clip(reach - distance, 0, 1) * sources(light), None

  rows, columns = np.mgrid[-margin : margin + 1, -margin : margin + 1]
  distance = _distance(rows, columns, blades).astype(np.float32)
  touched = distance < limit + 0.5
  corners = (jnp.asarray(rows[touched] + margin), jnp.asarray(columns[touched] + margin))
  steps = (corners, jnp.asarray(distance[touched]))
  return lax.scan(add, jnp.zeros((*shape, h, w), jnp.float32), steps, unroll=4)[0]


def _distance(rows, columns, blades):
  """Circumradius of the aperture whose rim passes through a pixel; a corner is at the top."""
  if not blades:
    return np.hypot(rows, columns)
  middle = np.pi * (2 * np.arange(blades)[:, None, None] + 1) / blades - np.pi / 2
  return (columns * np.cos(middle) + rows * np.sin(middle)).max(axis=0) / np.cos(np.pi / blades)
