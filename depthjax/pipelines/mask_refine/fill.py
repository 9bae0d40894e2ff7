"""Refinement by a mask: each side is filled from its pixels that are reliable.

Predicted depth is blurred or misplaced along the border of an object. The width of that band grows
with the photograph, since predictors run at a fixed input size. Its values are discarded.
"""

import cv2
import numpy as np

from depthjax.files import depth
from depthjax.pipelines.mask_refine import masks
from depthjax.pipelines.mask_refine.masks import Layers

# Width of the discarded band on each side, in fractions of the long side. On six real predictions
# the recall of the border is .73 at .004, .897 at .013 and at most .904, at .02. On seven measured
# scenes of reduced resolution the RMSE at the border is .082 unrefined, .047 at .008 (the least),
# .062 at .013 and .072 at .02.
DISTANCE = 0.013
# With a prior: fractions of the other side in the value of a pixel, and the distance within which
# pixels with less are discarded. Blur mixes within a narrow band; wrong silhouettes are wider. All
# were chosen by the scenes of docs/models/layered.md.
_MIXED = ((0.1, 0.004), (0.4, DISTANCE), (np.inf, 0.06))
_FLAT = 0.1  # Gaps between both sides below this fraction of the range count as this.
_ANCHOR = 0.04  # Distance beyond which the map gives the level of both sides for these fractions.


def refine(
  disparity: np.ndarray, mask: np.ndarray, *, distance: float = DISTANCE, soft: bool = False
) -> np.ndarray:
  """The map [h w 1] with its edge at the border of the mask: `layers`, then `masks.composite`."""
  return masks.composite(layers(disparity, mask, distance=distance), mask, soft=soft)


def layers(
  disparity: np.ndarray,
  mask: np.ndarray,
  *,
  distance: float = DISTANCE,
  prior: Layers | None = None,
) -> Layers:
  """Both sides of the mask, each continued from its pixels farther than a distance from the other.

  Every pixel takes the value of the nearest such pixel, so these do not change. A side that has
  none is continued from its innermost pixels. Thin parts and small holes also take the value of the
  nearest larger part of their side, since predictors tend to miss them.

  Args:
    disparity: or depth, of any range and unit, float32 [h w 1].
    mask: as from `masks.checked`, of the same size.
    distance: in fractions of the long side.
    prior: two complete maps in the units of the disparity. The difference from these is continued
      instead of the map, which gives it their shape. They also tell how much of the other side is
      in the value of a pixel, on which its distance then depends, up to 6 % of the long side.

  Raises:
    ValueError: different sizes, NaN or infinite values, a distance outside [0, 1).
  """
  if mask.shape != disparity.shape or mask.shape[2:] != (1,):
    shapes = f'{list(disparity.shape)} and {list(mask.shape)}'
    raise ValueError(f'map and mask are {shapes}; they must be [h w 1] of one size')
  if not np.isfinite(disparity).all():
    raise ValueError('the depth map has NaN or infinite values; fill them first')
  if not 0 <= distance < 1:
    raise ValueError(f'the distance is {distance:g} of the long side; it must be in [0, 1)')
  inside = mask[..., 0] > 0.5
  aways = [_away(side) for side in (inside, ~inside)]
  if prior is None:
    return Layers(*(_continued(disparity, _kept(away, distance)) for away in aways))
  sides = zip(aways, prior, strict=True)
  moved = [_continued(disparity, _kept(away, _ANCHOR), shape) for away, shape in sides]
  distances = (_distances(disparity, *pair) for pair in (moved, moved[::-1]))
  kept = [*map(_kept, aways, distances)]
  del aways, moved  # A map of 12 megapixels has 50 MB.
  return Layers(*(_continued(disparity, *side) for side in zip(kept, prior, strict=True)))


def _away(side: np.ndarray) -> np.ndarray:
  """Distance of the pixels of a side, bool [h w], from the other: float32, of the long side."""
  away = cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
  return away / max(side.shape)


def _distances(disparity: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Distance from the other side within which each pixel is discarded [h w], see `_MIXED`."""
  gap = other - own
  mixed = (disparity - own)[..., 0]
  mixed *= np.sign(gap)[..., 0]
  mixed /= np.maximum(np.abs(gap), _FLAT * np.ptp(disparity))[..., 0]
  result = np.full_like(mixed, _MIXED[-1][1])
  for limit, distance in _MIXED[-2::-1]:
    result[mixed < limit] = distance
  return result


def _kept(away: np.ndarray, distance: np.ndarray | float) -> np.ndarray:
  """Pixels of a side farther away than a distance, or the innermost: bool [h w]."""
  kept = away > distance
  return kept if kept.any() else away == away.max()


def _continued(disparity: np.ndarray, kept: np.ndarray, shape: np.ndarray | int = 0) -> np.ndarray:
  """The map [h w 1] continued from kept pixels with the shape of a complete map."""
  moved = shape + depth.fill((disparity - shape)[..., 0], kept)[..., None]
  np.copyto(moved, disparity, where=kept[..., None])  # Without rounding.
  return moved
