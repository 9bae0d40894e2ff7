"""Draws one layered scene: layers, disparity planes, lens and observed silhouettes."""

from collections.abc import Sequence

import numpy as np

from depthjax.data.errors import silhouettes
from depthjax.data.scenes import objects, painting, surfaces
from depthjax.data.scenes.config import SceneConfig


def draw_scene(
  rng: np.random.Generator,
  config: SceneConfig,
  photos: Sequence | None = None,
  foregrounds: Sequence | None = None,
) -> dict[str, np.ndarray]:
  """One scene record.

  Args:
    photos: uint8 sRGB images [h w 3]; None for procedural textures only.
    foregrounds: uint8 images [h w 4], straight alpha, colour also where alpha is 0; None for drawn
      shapes only.

  Returns:
    layers: uint8 [l h+2p w+2p 4], straight sRGB RGBA, near first, the last one opaque.
    planes: float32 [l 3], disparity p0 + p1 x + p2 y with x, y in [-.5, .5] over the frame.
    observed: uint8 [l h w], silhouettes with the errors of a depth predictor.
    focus, aperture, rotation, highlight: float32 []; blades: int32 []; seed: uint32 [].
    relief: float32 [l 32 32], material: uint8 [l], from surfaces.draw_surfaces.
  """
  items = objects.draw_objects(rng, config, foregrounds)
  layers = painting.paint_layers(rng, config, items, photos)
  planes = draw_planes(rng, config, layers[:-1, ..., 3])
  p, h, w = config.pad, config.height, config.width
  covered = np.where(layers[:, p : p + h, p : p + w, 3] > 127, np.uint8(255), np.uint8(0))
  observed = silhouettes.corrupt(
    rng,
    covered,
    scale=max(h, w) / 320,
    probability=config.corruption,
    radius=config.corruption_radius,
    sigma=config.corruption_sigma,
  )
  lens = draw_lens(rng, config, planes)
  seed = np.uint32(rng.integers(0, 2**32, dtype=np.uint32))
  record = {'layers': layers, 'planes': planes, 'observed': observed, **lens, 'seed': seed}
  return {**record, **surfaces.draw_surfaces(config, record)}


def draw_planes(rng: np.random.Generator, config: SceneConfig, alphas: np.ndarray) -> np.ndarray:
  """Disparity planes, near first: float32 [l 3], p0 + p1 x + p2 y over the frame.

  Foregrounds are flat. The background is flat, or gets nearer towards the left, the right or the
  bottom (DeepLens, section 4.2). Such a ramp may be nearer than a foreground, but not within `pad`
  pixels of any. `alphas`, uint8 [l-1 h+2p w+2p], are those of the foregrounds.
  """
  count, margin = len(alphas), config.margin + 1e-4  # 1e-4 for rounding to float32.
  room = 1 - count * margin
  background = np.zeros(3)
  if rng.random() < config.tilted_background:
    background, behind = _ramp(rng, config, alphas, room)
  else:
    background[0] = behind = 0.0 if rng.random() < 0.3 else rng.uniform(0, 0.6 * room)
  lowest = behind + margin
  # Sorted uniform numbers, at least a margin apart.
  steps = np.sort(rng.uniform(0, 1 - lowest - (count - 1) * margin, count))
  planes = np.zeros((count + 1, 3))
  planes[:-1, 0] = (lowest + steps + margin * np.arange(count))[::-1]
  planes[-1] = background
  return planes.astype(np.float32)


def _ramp(rng, config, alphas, room):
  """A ramp plane [3], and its largest disparity at most `pad` pixels from any foreground."""
  far = 1e-6 if rng.random() < 0.3 else rng.uniform(1e-6, 0.35)  # 0 could be rounded below 0.
  near = rng.uniform(far + 0.1, max(room, far + 0.1))
  horizontal, sign = rng.random() < 0.4, 1.0
  if horizontal and rng.random() < 0.5:
    sign = -1.0  # Near at the left, as a wall is; the ground is always near at the bottom.
  frame = config.width if horizontal else config.height
  limit = 0.5 + config.pad / frame  # Half of the padded canvas, in frame coordinates.
  slope = sign * (near - far) / (2 * limit)
  plane = np.array([(near + far) / 2, slope, 0.0] if horizontal else [(near + far) / 2, 0.0, slope])
  lines = np.flatnonzero(alphas.any(axis=(0, 1) if horizontal else (0, 2)))
  at = (lines[-1] + 1 + config.pad if sign > 0 else lines[0] - config.pad) / frame - limit
  return plane, plane[0] + slope * np.clip(at, -limit, limit)


def draw_lens(
  rng: np.random.Generator, config: SceneConfig, planes: np.ndarray
) -> dict[str, np.ndarray]:
  """Focus (a disparity), aperture, its blades and rotation, and the gain of highlights."""
  plane, at = planes[rng.integers(len(planes))], rng.uniform(-0.5, 0.5, 2)
  focus = plane[0] + plane[1:] @ at if rng.random() < config.on_plane else rng.random()
  aperture = 1.0 if rng.random() < config.full_aperture else rng.uniform(0.2, 1)
  blades = rng.integers(5, 10) if rng.random() < config.polygon else 0
  boosted = rng.random() < config.highlight
  gain = np.exp(rng.uniform(0, np.log(config.highlight_max))) if boosted else 1.0
  return {
    'focus': np.float32(focus),
    'aperture': np.float32(aperture),
    'blades': np.int32(blades),
    'rotation': np.float32(rng.uniform(0, 2 * np.pi)),
    'highlight': np.float32(gain),
  }
