"""True disparity of drawn scenes, without their colours: what predictors are simulated on."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from depthjax.data.errors import noise
from depthjax.data.scenes import draw, objects
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.scenes.surfaces import plane_disparity, rooms


def draw_truth(
  rng: np.random.Generator,
  config: SceneConfig,
  foregrounds: Sequence | None = None,
  *,
  relief: float = 0.0,
) -> np.ndarray:
  """The disparity of a drawn scene, float32 [h w], near is large.

  Silhouettes and planes are as draw.draw_scene has them, but nothing is painted, which is most of
  the work. A scene has from 2 to `config.layers` layers: of few, each has room for relief. There is
  none in the records of draw.draw_scene, whose renderers know planes alone.

  Args:
    foregrounds: as in draw.draw_scene.
    relief: how far surfaces leave their planes, as a share of half the least distance between
      what covers and what is covered; up to 1 the order of the layers stays.
  """
  config = dataclasses.replace(config, layers=int(rng.integers(2, config.layers + 1)))
  items = objects.draw_objects(rng, config, foregrounds)
  alphas = np.stack([item if item.ndim == 2 else item[..., 3] for item in items])
  planes = draw.draw_planes(rng, config, alphas)
  p, h, w = config.pad, config.height, config.width
  covered = alphas[:, p : p + h, p : p + w] > 127
  surfaces = [plane_disparity(plane, h, w) for plane in planes]
  if relief:
    room = rooms(planes[:-1, 0], surfaces[-1], covered)
    masks = [*covered, np.ones((h, w), bool)]
    surfaces = [
      surface + draw_relief(rng, mask) * np.float32(relief * own)
      for surface, mask, own in zip(surfaces, masks, room, strict=True)
    ]
  return compose(surfaces, covered)


def compose(surfaces: Sequence[np.ndarray], covered: np.ndarray) -> np.ndarray:
  """The disparity that is seen [h w]: at each pixel that of the first layer which covers it.

  Args:
    surfaces: l disparities [h w], near first; the last layer is behind everything.
    covered: bool [l-1 h w].
  """
  out = surfaces[-1].copy()
  for surface, mask in zip(surfaces[-2::-1], covered[::-1], strict=True):
    np.copyto(out, surface, where=mask)
  return out


def draw_relief(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
  """A smooth surface [h w], within a mask in [-1, 1]: a slant, waves and a bulge.

  Args:
    mask: bool [h w], where the surface is seen.
  """
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
  # A ball's profile over the distance from the outline; the ridges of the distance are smoothed.
  depth = _softened(depth, max(0.5, 0.02 * max(h, w)))
  rise = depth / depth.max()
  return out + bulge * np.sqrt(rise * (2 - rise))


def _softened(x, sigma):
  """Blurred by a Gaussian; a wide one at a smaller size, where it costs far less."""
  h, w = x.shape
  factor = max(1, int(sigma / 4))
  small = noise.resized(x, (-(-h // factor), -(-w // factor)))
  small = cv2.GaussianBlur(small, (0, 0), sigma / factor)
  return noise.resized(small, (h, w))
