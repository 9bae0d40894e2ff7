"""Colours of the layers of a scene: a texture for each foreground and the background."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from depthjax.data.scenes import crops, textures
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import mixtures


class Style(NamedTuple):
  """What a layer is painted with: a photo (its index), or a texture family and a colour ramp."""

  photo: int | None
  family: str
  ramp: np.ndarray


def paint_layers(
  rng: np.random.Generator,
  config: SceneConfig,
  objects: Sequence[np.ndarray],
  photos: Sequence | None = None,
) -> np.ndarray:
  """Paints the foregrounds of objects.draw_objects and a background.

  Returns uint8 [l h+2p w+2p 4], the last layer opaque.
  """
  h, w = config.height + 2 * config.pad, config.width + 2 * config.pad
  layers = np.empty((len(objects) + 1, h, w, 4), np.uint8)
  style = _draw_style(rng, config, photos)
  background = _paint(rng, style, photos, h, w, max_angle=0.17)
  if rng.random() < config.lights:
    textures.add_lights(rng, background)
  layers[-1, ..., :3], layers[-1, ..., 3] = background, 255
  for layer, item in zip(layers, objects, strict=False):
    if item.ndim == 3:
      layer[...] = item
    else:
      layer[..., :3] = _foreground(rng, config, item, photos, style, background)
      layer[..., 3] = item
  return layers


def _draw_style(rng, config, photos):
  """A random style; a photo with probability `config.photos`, if there are photos."""
  photo = None
  if rng.random() < config.photos and photos is not None and len(photos):
    photo = mixtures.pick(rng, photos)
  return Style(photo, textures.draw_family(rng, textures.FAMILIES), textures.colour_ramp(rng))


def _paint(rng, style, photos, h, w, max_angle):
  """A texture in a style, uint8 sRGB [h w 3]; `max_angle` limits the rotation of a photo."""
  if style.photo is None:
    return textures.paint(rng, style.family, style.ramp, h, w)
  return crops.jitter(rng, crops.crop(rng, photos[style.photo], h, w, max_angle=max_angle))


def _foreground(rng, config, alpha, photos, behind, background):
  """The colour of a foreground; `behind` is the style of the background."""
  h, w = alpha.shape
  chance = rng.random()
  camouflaged = chance < config.camouflage
  style = behind if camouflaged else _draw_style(rng, config, photos)
  colour = _paint(rng, style, photos, h, w, max_angle=np.pi)
  # A dark object before a dark background would be invisible: it always gets contrast.
  dark = max(colour.mean(), background.mean()) < 35
  if not camouflaged and (dark or chance > 1 - config.contrast):
    colour = _contrasted(colour, background)
  if rng.random() < config.lights:
    textures.add_lights(rng, colour)
  return _shaded(rng, alpha, colour) if rng.random() < 0.5 else colour


def _contrasted(colour, background):
  """Makes a texture dark before a bright background, and bright before a dark one."""
  mean, behind = (np.mean(cv2.mean(image)[:3]) for image in (colour, background))
  target = 55 if behind > 120 else 200
  factor = target / max(mean, 8)
  if factor <= 1:
    return cv2.convertScaleAbs(colour, alpha=factor)
  # Scaling the inverse image does not clip highlights.
  factor = min((255 - target) / max(255 - mean, 8), 1)
  return cv2.bitwise_not(cv2.convertScaleAbs(cv2.bitwise_not(colour), alpha=factor))


def _shaded(rng, alpha, colour):
  """Shades a texture as a body that bulges in its middle, lit from a random direction."""
  h, w = alpha.shape
  small = max(8, w // 8), max(8, h // 8)
  body = cv2.resize(alpha, small, interpolation=cv2.INTER_AREA).astype(np.float32)
  body = cv2.GaussianBlur(body, (0, 0), 0.07 * max(small), borderType=cv2.BORDER_REPLICATE)
  angle = rng.uniform(0, 2 * np.pi)
  slope_x = cv2.Sobel(body, cv2.CV_32F, 1, 0, scale=np.cos(angle))
  slope = slope_x + cv2.Sobel(body, cv2.CV_32F, 0, 1, scale=np.sin(angle))
  light = 1 + rng.uniform(0.15, 0.5) * slope / (np.abs(slope).max() + 1e-6)
  light = cv2.resize(light, (w, h), interpolation=cv2.INTER_LINEAR)
  return cv2.multiply(colour, cv2.merge([light] * 3), dtype=cv2.CV_8U)
