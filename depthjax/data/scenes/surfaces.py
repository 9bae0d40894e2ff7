"""Tilt, relief and material of a scene's layers, drawn from the record's own seed.

Each has a random stream of its own: turning one on changes neither the others nor the rest of the
record, and at 0 nothing changes.
"""

from collections.abc import Mapping

import cv2
import numpy as np

from depthjax.data.errors import noise
from depthjax.data.scenes.config import SceneConfig

MATERIALS = ('opaque', 'glass', 'mirror')  # By the number that a record holds.
GRID = 32  # Rows and columns of a stored relief; renderers resize it to the padded canvas.


def draw_surfaces(config: SceneConfig, record: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Surfaces for a drawn record whose foregrounds are flat and opaque.

  Tilt and relief keep the order of the layers: nearer layers exceed what they cover by
  `config.margin`, and all disparities stay in [0, 1].

  Args:
    record: `layers`, `planes` and `seed` of draw.draw_scene.

  Returns:
    planes: float32 [l 3], foregrounds perhaps tilted around the middle of their silhouettes.
    relief: float32 [l 32 32], to be added to the disparity of the plane; it covers the padded
      canvas, so that a layer's surface is complete beyond its silhouette.
    material: uint8 [l], a number in MATERIALS; the background is opaque.
  """
  tilt, bend, matter = (np.random.default_rng([record['seed'], stream]) for stream in range(3))
  planes, alphas = record['planes'].copy(), record['layers'][:-1, ..., 3]
  relief = np.zeros((len(planes), GRID, GRID), np.float32)
  if config.tilted_foreground or config.relief:
    background = plane_disparity(planes[-1], config.height, config.width, config.pad)
    room = rooms(planes[:-1, 0], background, alphas > 0, margin=config.margin)
    highest = np.append(planes[:-1, 0], background.max())
    room = np.minimum(room, 1 - highest)
    for i in np.flatnonzero(tilt.random(len(alphas)) < config.tilted_foreground):
      amount = (1 - 0.5 * config.relief) * room[i]
      room[i] -= amount
      planes[i] = _tilted(tilt, config, planes[i], alphas[i], amount)
    for i, mask in enumerate(record['layers'][..., 3]):
      relief[i] = _relief(bend, mask)
    relief[-1] = (relief[-1] + 1) / 2  # The background only rises: it may be at infinity.
    relief *= (config.relief * room[:, None, None]).astype(np.float32)
  chance = matter.random(len(planes))
  material = np.where(
    chance < config.glass, 1, np.where(chance < config.glass + config.mirror, 2, 0)
  )
  material[-1] = 0
  return {'planes': planes, 'relief': relief, 'material': material.astype(np.uint8)}


def plane_disparity(plane: np.ndarray, h: int, w: int, pad: int = 0) -> np.ndarray:
  """Disparity [h+2p w+2p] of a plane [3] at the pixel centres, as ops.layers.plane_disparity."""
  y, x = (
    (np.arange(-pad, n + pad, dtype=np.float32) + np.float32(0.5)) / np.float32(n) - np.float32(0.5)
    for n in (h, w)
  )
  p0, p1, p2 = np.asarray(plane, np.float32)
  return p0 + p1 * x + p2 * y[:, None]


def rooms(
  offsets: np.ndarray, background: np.ndarray, covered: np.ndarray, *, margin: float = 0.0
) -> np.ndarray:
  """How far each layer's disparity may change, up or down, so that the layers stay in order: [l].

  Half of the least difference, less the margin, to the layers that a layer covers or is covered by.

  Args:
    offsets: disparity of flat foregrounds [l-1].
    background: disparity of the background [h w].
    covered: bool [l-1 h w], what each foreground covers.
    margin: difference that must remain.
  """
  apart = np.abs(offsets[:, None] - offsets) + 2 * np.eye(len(offsets))
  behind = [
    offset - background[mask].max() if mask.any() else 1.0
    for offset, mask in zip(offsets, covered, strict=True)
  ]
  least = np.append(np.minimum(apart.min(1), behind), min(behind))
  return np.maximum(least - margin, 0) / 2


def _tilted(rng, config, plane, alpha, amount):
  """The plane, tilted in a random direction by up to `amount` over the silhouette's box."""
  left, top, width, height = cv2.boundingRect(alpha)
  size = np.array([config.width, config.height])
  extent = np.array([width, height]) / size
  centre = (np.array([left, top]) - config.pad) / size + extent / 2 - 0.5
  angle, fraction = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1)
  direction = np.array([np.cos(angle), np.sin(angle)])
  slope = fraction * amount / (np.abs(direction) @ extent / 2)
  # A lens sees a steep plane edge on. Blur is at most `pad` pixels at a disparity of 0.5 or more.
  slope = min(slope, size.min() / (4 * max(config.pad, 1)))
  gradient = slope * direction
  return np.array([plane[0] - gradient @ centre, *gradient], np.float32)


def _relief(rng, alpha):
  """Waves and a bulge where the layer covers: float32 [32 32] in [-1, 1]."""
  waves = np.clip(noise.smooth(rng, (GRID, GRID), int(rng.integers(2, 6))) / 2, -1, 1)
  body = cv2.resize(alpha, (GRID, GRID), interpolation=cv2.INTER_AREA).astype(np.float32)
  body = cv2.GaussianBlur(body, (0, 0), 0.06 * GRID, borderType=cv2.BORDER_REPLICATE)
  bulge = 2 * body / max(body.max(), 1.0) - 1
  fraction = np.float32(rng.random())
  # Resizing overshoots a little.
  return np.float32(0.95) * ((1 - fraction) * waves + fraction * bulge)
