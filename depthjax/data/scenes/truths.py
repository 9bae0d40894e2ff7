"""True disparity of drawn scenes without colours, the input of simulated predictors."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from depthjax.data.errors import noise
from depthjax.data.scenes import draw, objects
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.scenes.surfaces import plane_disparity, slack


def draw_truth(
  rng: np.random.Generator,
  config: SceneConfig,
  foregrounds: Sequence | None = None,
  *,
  relief: float = 0.0,
) -> np.ndarray:
  """The disparity of a drawn scene, float32 [h w].

  Silhouettes and planes are those of draw.draw_scene; painting, the slowest part, is left out. A
  scene has 2 to `config.layers` layers: with few layers the relief of each can be larger.

  Args:
    foregrounds: as in draw.draw_scene.
    relief: amplitude of the relief, as a fraction of surfaces.slack; up to 1 keeps the order of
      the layers.
  """
  config = dataclasses.replace(config, layers=int(rng.integers(2, config.layers + 1)))
  items = objects.draw_objects(rng, config, foregrounds)
  alphas = np.stack([item if item.ndim == 2 else item[..., 3] for item in items])
  planes = draw.draw_planes(rng, config, alphas)
  p, h, w = config.pad, config.height, config.width
  covered = alphas[:, p : p + h, p : p + w] > 127
  surfaces = [plane_disparity(plane, h, w) for plane in planes]
  if relief:
    limits = slack(planes[:-1, 0], surfaces[-1], covered)
    masks = [*covered, np.ones((h, w), bool)]
    for i, (mask, limit) in enumerate(zip(masks, limits, strict=True)):
      surfaces[i] = surfaces[i] + draw_relief(rng, mask) * np.float32(relief * limit)
  return compose(surfaces, covered)


def compose(surfaces: Sequence[np.ndarray], covered: np.ndarray) -> np.ndarray:
  """The visible disparity [h w]: at each pixel that of the first layer which covers it.

  `surfaces` [l h w] are near first; `covered`, bool [l-1 h w], lacks the last, which covers all.
  """
  return np.select(list(covered), surfaces[:-1], default=surfaces[-1])


def draw_relief(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
  """A slant, waves and a bulge [h w], in [-1, 1] inside `mask`, a silhouette: bool [h w]."""
  h, w = mask.shape
  slant, waves, bulge = rng.dirichlet((1.0, 1.0, 1.0)).astype(np.float32)
  out = np.clip(noise.smooth(rng, (h, w), int(rng.integers(2, 7))) / 2, -1, 1) * waves
  left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
  x = (np.arange(w, dtype=np.float32) - left) / max(width, 1) - 0.5
  y = (np.arange(h, dtype=np.float32) - top) / max(height, 1) - 0.5
  across, down = rng.uniform(-1, 1, 2).astype(np.float32)
  out += slant * (across * x + down * y[:, None])
  if mask.all() or not mask.any():
    return out
  depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
  # The profile of a ball over the distance from the outline; a blur removes the ridges.
  depth = _blurred(depth, max(0.5, 0.02 * max(h, w)))
  rise = depth / depth.max()
  return out + bulge * np.sqrt(rise * (2 - rise))


def _blurred(x, sigma):
  """A Gaussian blur; a wide one is computed at a lower resolution, which is much faster."""
  h, w = x.shape
  factor = max(1, int(sigma / 4))
  small = noise.resized(x, (-(-h // factor), -(-w // factor)))
  small = cv2.GaussianBlur(small, (0, 0), sigma / factor)
  return noise.resized(small, (h, w))
