"""Renders layers of glass and mirrors: what they look like, and the disparity of what they show.

All layers are complete, near first, in linear light; lengths are fractions of the longer side. Not
physically exact: shapes bulge by their smoothed silhouettes, and light is not traced.
"""

import jax
import jax.numpy as jnp
from jax import lax

from depthjax.ops import gradients, layers

OPAQUE, GLASS, MIRROR = range(3)

# Fractions of linear light that pass: clear, green, blue and brown glass.
_TINTS = ((0.94, 0.96, 0.95), (0.72, 0.9, 0.78), (0.7, 0.85, 0.93), (0.72, 0.45, 0.2))
_BULGE = (0.012, 0.03, 0.07)  # Stds of the smoothed silhouettes that a bulge is the mean of.
_BEND = 0.16  # Largest displacement by refraction along x or y.
_NUMBERS = 19  # Random numbers that the look of a layer depends on.
_F0 = 0.05  # Reflectance of glass seen straight on.


def render(colour, alpha, disparity, material, key):
  """Image [h w 3] and naive disparity [h w 1]: that of what is seen through glass or in a mirror.

  Args:
    colour: linear light [l h w 3], straight. Glass and mirrors keep a little of it.
    alpha: coverage [l h w] in [0, 1]; the last layer must be opaque.
    disparity: disparity of each layer [l h w].
    material: OPAQUE, GLASS or MIRROR for each layer [l].
    key: draws tints, refraction, reflections and highlights.
  """
  # What is reflected: layers of glass and mirrors would need several bounces of light.
  opaque = jnp.where((material == OPAQUE)[:, None, None], alpha, 0)
  front = layers.front_disparity(disparity, (opaque > 0.5).astype(alpha.dtype))
  scene = jnp.concatenate([layers.composite(colour, opaque), front], axis=-1)
  scene = jnp.moveaxis(scene, -1, 0)
  pictures = jnp.moveaxis(jnp.concatenate([colour, disparity[..., None]], axis=-1), -1, 1)

  def over(behind, layer):
    picture, alpha, material, numbers = layer
    branches = (lambda *_: picture, _glass, _mirror)
    front = lax.switch(material, branches, picture, alpha, behind, scene, numbers)
    blended = alpha * front[:3] + (1 - alpha) * behind[:3]
    seen = jnp.where(alpha > 0.5, front[3:], behind[3:])
    return jnp.concatenate([blended, seen]), None

  # Drawn at once, because each call of the generator takes long to compile.
  numbers = jax.random.uniform(key, (len(alpha) - 1, _NUMBERS))
  foregrounds = (pictures[:-1], alpha[:-1], material[:-1].astype(jnp.int32), numbers)
  result, _ = lax.scan(over, pictures[-1], foregrounds, reverse=True)
  return jnp.moveaxis(result[:3], 0, -1), result[3][..., None]


def _glass(picture, alpha, behind, scene, numbers):
  """What glass shows [4 h w]: its picture is dirt, `behind` is refracted, `scene` is reflected."""
  pane = numbers[0] < 0.3
  normal = _normal(alpha, pane, 0.1 + 0.06 * numbers[1])
  rim = 1 - normal[2]
  bend = jnp.where(pane, 0.01 + 0.01 * numbers[2], 0.04 + 0.06 * numbers[2])
  magnify = numbers[3] * jnp.where(pane, 0.01, 0.15)
  through = _displaced(behind, -bend * normal[:2] - magnify * _from_middle(alpha))
  tint = jnp.array(_TINTS)[(len(_TINTS) * numbers[4]).astype(jnp.int32), :, None, None]
  light = through[:3] * tint ** (0.6 + 2 * rim)
  straight = jnp.where(pane, 0.14, _F0)  # Panes have two surfaces and face something bright.
  fresnel = straight + (1 - straight) * rim**5
  reflected = _flipped(scene, numbers[6:9])[:3] + _sky(normal, scene)
  light = (1 - fresnel) * light + fresnel * reflected + _shine(alpha, normal, pane, numbers[9:])
  dirt = 0.02 + 0.08 * numbers[5]
  return jnp.concatenate([(1 - dirt) * light + dirt * picture[:3], through[3:]])


def _mirror(picture, alpha, behind, scene, numbers):
  """What a mirror shows [4 h w]: `scene` flipped; its picture is that of its frame."""
  del behind
  inside = _inside(alpha, 0.008 + 0.022 * numbers[0])
  flat = inside.sum() > 0.7 * alpha.sum()  # Of thin shapes, little but the frame would be left.
  normal = _normal(alpha, flat, 0.12)
  reflected = _displaced(_flipped(scene, numbers[6:9]), 0.1 * normal[:2])
  tint = 0.66 + 0.2 * numbers[4] + 0.08 * numbers[1:4, None, None]
  light = reflected[:3] * tint + 0.4 * (1 - normal[2]) * _sky(normal, scene)
  light = light + 0.5 * _shine(alpha, normal, flat, numbers[9:])
  # Distances add up: the virtual image is as far behind the mirror as the thing is in front of it.
  own, other = picture[3:], reflected[3:]
  virtual = own * other / jnp.maximum(own + other, 1e-6)
  frame = (inside < 0.6) & flat
  return jnp.where(frame, picture, jnp.concatenate([light, virtual]))


def _size(x):
  return max(x.shape[-2:])


def _inside(alpha, width):
  """0 at the rim of a silhouette [h w] and outside, 0.7 at a depth of `width`, 1 deep inside."""

  def kernel(count):
    distance = jnp.arange(count) - jnp.arange(count)[:, None]
    weights = jnp.exp(-0.5 * (distance / (width * _size(alpha))) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)

  h, w = alpha.shape
  return jnp.maximum(2 * kernel(h) @ alpha @ kernel(w).T - 1, 0)


def _normal(alpha, flat, roundness):
  """Unit normals (x, y, towards the camera) [3 h w] of a pane if `flat`, or of a rounded body."""
  bulge = sum(_inside(alpha, width) for width in _BULGE) / len(_BULGE)
  pane = 0.03 * jnp.sqrt(_inside(alpha, _BULGE[0]) + 0.01)
  height = jnp.where(flat, pane, roundness * jnp.sqrt(bulge + 0.01))
  dx, dy = gradients.sobel(_size(alpha) * height[..., None])
  normal = jnp.concatenate([-dx, -dy, jnp.ones_like(dx)], axis=-1)
  normal = normal / jnp.linalg.norm(normal, axis=-1, keepdims=True)
  return lax.optimization_barrier(jnp.moveaxis(normal, -1, 0))


def _from_middle(alpha):
  """Offset (x, y) from the centre of a silhouette [2 h w]."""
  h, w = alpha.shape
  grid = jnp.stack(jnp.meshgrid(jnp.arange(w) / _size(alpha), jnp.arange(h) / _size(alpha)))
  middle = jnp.sum(grid * alpha, (1, 2), keepdims=True) / jnp.maximum(alpha.sum(), 1)
  return grid - middle


def _displaced(picture, offset):
  """Samples a picture [c h w] at pixel + offset [2 h w], along x and then along y."""
  pad = min(round(_BEND * _size(picture)), *(n - 1 for n in picture.shape[1:]))
  for amount, direction in zip(offset * _size(picture), ((1.0, 0.0), (0.0, 1.0)), strict=True):
    padded = jnp.pad(picture, ((0, 0), (pad, pad), (pad, pad)), 'reflect')
    padded, amount = lax.optimization_barrier((padded, jnp.clip(amount, -pad, pad)))
    picture = layers.displaced(padded[None], 0, amount, jnp.array(direction), pad)
  return picture


def _flipped(picture, numbers):
  """Another part of a picture [c h w], flipped and magnified, with reflect padding."""
  scale, x, y = 0.6 + 0.4 * numbers[0], *(2 * numbers[1:] - 1)

  def weights(count, scale, shift):
    centre = (count - 1) / 2
    at = scale * (jnp.arange(count) - centre) + centre * (1 + shift)
    at = centre - jnp.abs((at % (2 * count - 2)) - centre * 2) + centre
    return jnp.maximum(1 - jnp.abs(at[:, None] - jnp.arange(count)), 0)

  _, h, w = picture.shape
  rows, columns = weights(h, scale, 0.2 * y), weights(w, -scale, x)
  # Barriers keep XLA from computing fields again for every channel and tap that uses them.
  rows, columns = lax.optimization_barrier((rows, columns))
  across = jnp.einsum('cjk,lk->cjl', picture, columns, precision='highest')
  return jnp.einsum('ij,cjl->cil', rows, across, precision='highest')


def _sky(normal, scene):
  """Light [3 h w] of surroundings that are as bright as `scene`, brighter above than below."""
  mean = jnp.mean(scene[:3], (1, 2), keepdims=True) + 0.1
  return mean * (1 - 2 * normal[2] * normal[1])


def _shine(alpha, normal, flat, numbers):
  """Highlights [h w]: reflections of two bright windows, and stripes on flat layers."""
  # Windows are above, and not behind the camera, where a flat layer would reflect them as a whole.
  centres = jnp.array([-0.9, -0.9]) + jnp.array([1.8, 0.5]) * numbers[:4].reshape(2, 2)
  sides = 0.06 + 0.19 * numbers[4:8].reshape(2, 2)
  ray = 2 * normal[2] * normal[:2]
  distance = jnp.abs(ray - centres[..., None, None]) / sides[..., None, None]
  windows = jnp.sum(jax.nn.sigmoid(12 * (1 - distance.max(axis=1))), axis=0)
  x, y = _from_middle(alpha)
  slope, phase = 0.5 + numbers[8], 0.5 + numbers[9]
  across = x + slope * y
  wave = jnp.sin(14 * across + 6 * phase) + jnp.sin(23 * across + 9 * phase)
  stripes = jax.nn.sigmoid(8 * (wave - 0.6)) + 4 * (1 - normal[2]) * (normal[0] + normal[1] < 0)
  return 0.8 * windows + 0.12 * flat * stripes
