"""Tilt, relief and material of a scene's layers, drawn from the seed of the record.

Each has its own random stream; tilt and relief share the disparity that is free between layers. The
rest of the record does not depend on them.
"""

from collections.abc import Mapping

import cv2
import numpy as np

from depthjax.data.errors import noise
from depthjax.data.scenes.config import SceneConfig

MATERIALS = ('opaque', 'glass', 'mirror')  # Records hold an index into these.
GRID = 32  # Rows and columns of a stored relief; renderers resize it to the padded canvas.


def draw_surfaces(config: SceneConfig, record: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Tilts, relief and materials for a drawn record whose foregrounds are flat and opaque.

  The order of the layers is kept: nearer layers exceed what they cover by `config.margin`, and all
  disparities are in [0, 1].

  Args:
    record: `layers`, `planes` and `seed` of draw.draw_scene.

  Returns:
    planes: float32 [l 3]; tilted foregrounds rotate around the middle of their silhouettes.
    relief: float32 [l 32 32], added to the disparity of the plane after resizing to the padded
      canvas; it is complete beyond the silhouette of the layer.
    material: uint8 [l], indices into MATERIALS; the background is opaque.
  """
  tilt, bend, substance = (np.random.default_rng([record['seed'], stream]) for stream in range(3))
  planes, alphas = record['planes'].copy(), record['layers'][:-1, ..., 3]
  relief = np.zeros((len(planes), GRID, GRID), np.float32)
  if config.tilted_foreground or config.relief:
    background = plane_disparity(planes[-1], config.height, config.width, config.pad)
    options = {'margin': config.margin, 'overlapping': True}
    limit = slack(planes[:-1, 0], background, alphas > 0, **options)
    limit = np.minimum(limit, 1 - np.append(planes[:-1, 0], background.max()))
    for i in np.flatnonzero(tilt.random(len(alphas)) < config.tilted_foreground):
      amount = (1 - 0.5 * config.relief) * limit[i]
      limit[i] -= amount
      planes[i] = _tilted(tilt, config, planes[i], alphas[i], amount)
    for i, mask in enumerate(record['layers'][..., 3]):
      relief[i] = _relief(bend, mask)
    relief[-1] = (relief[-1] + 1) / 2  # The background only rises: it may be at infinity.
    relief *= (config.relief * limit[:, None, None]).astype(np.float32)
  chance = substance.random(len(planes))
  material = np.select([chance < config.glass, chance < config.glass + config.mirror], [1, 2])
  material[-1] = 0
  return {'planes': planes, 'relief': relief, 'material': material.astype(np.uint8)}


def plane_disparity(plane: np.ndarray, h: int, w: int, pad: int = 0) -> np.ndarray:
  """Disparity [h+2p w+2p] of a plane [3] at pixel centres, equal to ops.layers.plane_disparity."""
  half = np.float32(0.5)
  y = (np.arange(-pad, h + pad, dtype=np.float32) + half) / np.float32(h) - half
  x = (np.arange(-pad, w + pad, dtype=np.float32) + half) / np.float32(w) - half
  p0, p1, p2 = np.asarray(plane, np.float32)
  return p0 + p1 * x + p2 * y[:, None]


def slack(
  offsets: np.ndarray,
  background: np.ndarray,
  covered: np.ndarray,
  *,
  margin: float = 0.0,
  overlapping: bool = False,
) -> np.ndarray:
  """The largest change of each layer's disparity, up or down, that keeps the layers in order: [l].

  Half of the least difference, minus the margin, between a foreground and the background it covers,
  and between two foregrounds.

  Args:
    offsets: disparity of flat foregrounds [l-1].
    background: disparity of the background [h w].
    covered: bool [l-1 h w], pixels that each foreground covers.
    margin: least difference that must remain.
    overlapping: whether two foregrounds limit each other only if they cover a common pixel.
  """
  apart = np.abs(offsets[:, None] - offsets) + 2 * np.eye(len(offsets))
  if overlapping:
    flat = covered.reshape(len(covered), -1)
    apart[~(flat @ flat.T)] = 2
  behind = [
    offset - background[mask].max() if mask.any() else 1.0
    for offset, mask in zip(offsets, covered, strict=True)
  ]
  least = np.append(np.minimum(apart.min(1), behind), min(behind))
  return np.maximum(least - margin, 0) / 2


def _tilted(rng, config, plane, alpha, amount):
  """The plane [3], tilted in a random direction by up to `amount` over the silhouette's box."""
  left, top, width, height = cv2.boundingRect(alpha)
  size = np.array([config.width, config.height])
  extent = np.array([width, height]) / size
  centre = (np.array([left, top]) - config.pad) / size + extent / 2 - 0.5
  angle, fraction = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1)
  direction = np.array([np.cos(angle), np.sin(angle)])
  slope = fraction * amount / (np.abs(direction) @ extent / 2)
  # A lens would see a steeper plane edge on: its blur is `pad` pixels at a disparity of 0.5.
  slope = min(slope, size.min() / (4 * max(config.pad, 1)))
  gradient = slope * direction
  return np.array([plane[0] - gradient @ centre, *gradient], np.float32)


def _relief(rng, alpha):
  """Waves plus a bulge where alpha is high: float32 [32 32] in [-1, 1]."""
  waves = np.clip(noise.smooth(rng, (GRID, GRID), int(rng.integers(2, 6))) / 2, -1, 1)
  body = cv2.resize(alpha, (GRID, GRID), interpolation=cv2.INTER_AREA).astype(np.float32)
  body = cv2.GaussianBlur(body, (0, 0), 0.06 * GRID, borderType=cv2.BORDER_REPLICATE)
  bulge = 2 * body / max(body.max(), 1.0) - 1
  fraction = np.float32(rng.random())
  # Cubic resizing overshoots a little.
  return np.float32(0.95) * ((1 - fraction) * waves + fraction * bulge)
