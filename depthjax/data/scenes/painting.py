"""Painting the layers of a scene: each foreground and the background gets a texture."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from depthjax.data.scenes import crops, textures
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import mixtures


class Style(NamedTuple):
  """What a layer is painted with: a part of a photo, or a family of textures in some colours."""

  photo: int | None
  family: str
  ramp: np.ndarray


def draw_style(rng: np.random.Generator, photos: Sequence | None, share: float) -> Style:
  """A random style, from a photo with the given probability."""
  count = 0 if photos is None else len(photos)
  photo = mixtures.pick(rng, photos) if rng.random() < share and count else None
  return Style(photo, textures.draw_family(rng), textures.colour_ramp(rng))


def paint(
  rng: np.random.Generator, style: Style, photos: Sequence | None, h: int, w: int, turn: float
) -> np.ndarray:
  """A texture in a style, uint8 sRGB [h w 3]; `turn` bounds the rotation of a photo."""
  if style.photo is None:
    return textures.paint(rng, style.family, style.ramp, h, w)
  return crops.jitter(rng, crops.crop(rng, photos[style.photo], h, w, turn=turn))


def paint_layers(
  rng: np.random.Generator,
  config: SceneConfig,
  objects: Sequence[np.ndarray],
  photos: Sequence | None = None,
) -> np.ndarray:
  """Paints objects (near first) and a background.

  Args:
    objects: uint8 [h+2p w+2p] alphas to be painted, or [h+2p w+2p 4] with their own colour.

  Returns:
    uint8 [l h+2p w+2p 4], the last layer opaque.
  """
  h, w = config.height + 2 * config.pad, config.width + 2 * config.pad
  layers = np.empty((len(objects) + 1, h, w, 4), np.uint8)
  style = draw_style(rng, photos, config.photos)
  background = paint(rng, style, photos, h, w, turn=0.17)
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


def _foreground(rng, config, alpha, photos, behind, background):
  h, w = alpha.shape
  chance = rng.random()
  hidden = chance < config.camouflage
  style = behind if hidden else draw_style(rng, photos, config.photos)
  colour = paint(rng, style, photos, h, w, turn=np.pi)
  # Night before night shows nothing at all: it needs contrast whatever the chance says.
  dark = max(colour.mean(), background.mean()) < 35
  if not hidden and (dark or chance > 1 - config.contrast):
    colour = _set_apart(colour, background)
  if rng.random() < config.lights:
    textures.add_lights(rng, colour)
  return _round(rng, alpha, colour) if rng.random() < 0.5 else colour


def _set_apart(colour, background):
  """Moves a texture's brightness away from the background's."""
  mine, other = cv2.mean(colour)[:3], cv2.mean(background)[:3]
  wanted = 55 if np.mean(other) > 120 else 200
  factor = wanted / max(np.mean(mine), 8)
  if factor <= 1:
    return cv2.convertScaleAbs(colour, alpha=factor)
  # Brightening by the inverse keeps highlights from clipping to a flat white.
  left = (255 - wanted) / max(255 - np.mean(mine), 8)
  return cv2.bitwise_not(cv2.convertScaleAbs(cv2.bitwise_not(colour), alpha=min(left, 1)))


def _round(rng, alpha, colour):
  """Light from one side on a body that bulges towards its middle."""
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
