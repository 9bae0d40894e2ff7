"""The thin lens: aperture samples, circles of confusion, and rendering of layered scenes."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from depthjax.ops import layers


def vogel(count):
  """Uniform samples of the unit disc in a sunflower pattern, with mean 0: NumPy float32 [s 2].

  Source: Vogel, "A better way to construct the sunflower head", 1979.
  """
  index = np.arange(count)
  radius = np.sqrt((index + 0.5) / count)
  angle = index * np.pi * (3 - np.sqrt(5))
  samples = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
  # A mean other than 0 would shift out-of-focus layers. Rescaled to stay inside the disc.
  samples -= samples.mean(axis=0)
  return (samples / max(1, np.linalg.norm(samples, axis=-1).max())).astype(np.float32)


def aperture_shape(samples, blades, rotation):
  """Maps the disc to the regular polygon inscribed in the unit circle, preserving uniformity.

  Each sector of the disc is mapped to a triangle: its angle to the position along the edge, its
  radius to the distance from the centre, so that areas keep their ratio.

  Args:
    samples: samples of the unit disc (x, y) [s 2].
    blades: number of corners of the polygon, at least 3, or 0 for the disc; may be traced.
    rotation: angle of a corner in radians, from the x axis towards y.
  """
  corners = jnp.maximum(blades, 3)
  sector = 2 * jnp.pi / corners
  radius = jnp.linalg.norm(samples, axis=-1)
  angle = jnp.arctan2(samples[:, 1], samples[:, 0]) / sector
  middle = jnp.floor(angle) + 0.5
  across = jnp.clip(2 * (angle - middle), -1, 1) * jnp.tan(jnp.pi / corners)
  phi = jnp.arctan(across)
  length = radius * jnp.cos(jnp.pi / corners) / jnp.cos(phi)
  angle = middle * sector + phi + rotation
  polygon = length[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
  return jnp.where(blades == 0, samples, polygon)


def circle_of_confusion(disparity, focus, *, strength, limit):
  """Signed blur radius [...] in pixels, positive in front of the focal plane.

  It is `strength` pixels per unit of disparity [...] from `focus`, clipped to +-limit pixels.
  """
  return jnp.clip(strength * (disparity - focus), -limit, limit)


def trace(colour, alpha, planes, samples, *, focus, strength, limit, pad, tilted=(), relief=None):
  """Image of a layered scene through a lens, with occlusion: the mean of pinhole views.

  Use jax.lax.map for batches; jax.vmap would turn its slices into gathers.

  Args:
    colour: linear light [l hp wp 3], straight, complete behind nearer layers.
    alpha: coverage [l hp wp] in [0, 1]; the alpha of the last layer is taken as 1.
    planes: planes of disparity [l 3].
    samples: points of the aperture within the unit disc [s 2], the same for all layers.
    focus: disparity in focus.
    strength: blur radius in pixels per unit of disparity.
    limit: largest blur radius in pixels.
    pad: padding of the layers in pixels, static.
    tilted: static indices of the layers that are displaced pixel by pixel. The slope and relief of
      the others are ignored, which is faster.
    relief: disparity added to the planes [l hp wp], taken at the pixel, not where the ray meets it.

  Returns:
    Image [h w 3] in linear light. A layer in focus is unchanged to the last bit where no nearer
    layer is blurred over it.

  Raises:
    ValueError: `pad` is less than `limit`.

  Source: Haeberli and Akeley, "The accumulation buffer", SIGGRAPH 1990. The ray of pixel x through
  the point u of the lens meets a plane of disparity d at X = x + u K (d(X) - focus). As d is
  linear, the factor of u is K (d(x) - focus) / (1 - K u . grad d), then clipped to +-limit.
  """
  if isinstance(limit, (int, float)) and limit > pad:
    raise ValueError(f'pad is {pad} px; it must be at least the largest blur radius, {limit} px')
  count, hp, wp = alpha.shape
  shape = (hp - 2 * pad, wp - 2 * pad)
  colour, alpha = layers.premultiplied(colour, alpha)
  defocus = layers.plane_disparity(planes, *shape, relief=relief) - focus

  def views(i, sample):
    if i in tilted:
      blur = strength * layers.along_plane(defocus[i], planes[i], strength * sample)
      sampled, offset = layers.displaced, (jnp.clip(blur, -limit, limit), sample)
    else:
      blur = circle_of_confusion(planes[i, 0], focus, strength=strength, limit=limit)
      sampled, offset = layers.translated, (blur * sample,)
    return tuple(sampled(planar, i, *offset, pad) for planar in (colour, alpha))

  def add(mean, step):
    number, sample = step
    image, _ = views(count - 1, sample)
    for i in reversed(range(count - 1)):
      light, cover = views(i, sample)
      image = light + (1 - cover) * image
    # A running mean, so that the mean of equal images is exactly that image.
    return mean + (image - mean) / number, None

  numbers = jnp.arange(1, len(samples) + 1, dtype=jnp.float32)
  mean, _ = lax.scan(add, jnp.zeros((3, *shape), jnp.float32), (numbers, jnp.asarray(samples)))
  return jnp.moveaxis(mean, 0, -1)
