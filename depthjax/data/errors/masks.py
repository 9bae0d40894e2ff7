"""Errors of silhouettes in predicted depth, P4 and P5, and errors of masks, P8.

Lost background and lost thin parts are what mask-guided refinement restores (Kim et al., CVPR
2022). Silhouettes are uint8 [h w], 0 or 255.
"""

import cv2
import numpy as np

from depthjax.data.errors import silhouettes


def filled(mask: np.ndarray, *, radius: float, hole: float) -> np.ndarray:
  """Adds holes and concavities of a silhouette, where predictors miss the background (P4).

  Args:
    radius: of the disc of a morphological closing, which fills concavities; below 1 there is none.
    hole: largest area of a hole that is filled, as a fraction of the map's. A hole is a 4-connected
      region of background that does not touch the border of the map.
  """
  closed = silhouettes.erode(silhouettes.dilate(mask, radius), radius)
  outside = cv2.bitwise_not(mask)
  count, labels, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
  left, top, width, height, area = stats.T
  inside = (left > 0) & (top > 0)
  inside &= (left + width < mask.shape[1]) & (top + height < mask.shape[0])
  inside &= (area <= hole * mask.size) & (np.arange(count) > 0)
  return cv2.bitwise_or(closed, np.where(inside[labels], np.uint8(255), np.uint8(0)))


def without_thin(mask: np.ndarray, width: float) -> np.ndarray:
  """Removes the parts of a silhouette that are narrower than `width` px (P5).

  It is the opening by a disc. A silhouette that would lose more than silhouettes.MIN_AREA leaves
  does not change: nothing in a map without it would tell its disparity.
  """
  opened = silhouettes.dilate(silhouettes.erode(mask, width / 2), width / 2)
  enough = cv2.countNonZero(opened) >= silhouettes.MIN_AREA * cv2.countNonZero(mask)
  return opened if enough else mask


def jittered(rng: np.random.Generator, mask: np.ndarray, *, shift: float, blur: float):
  """A mask, float32 [h w] in [0, 1], shifted in a random direction and blurred (P8).

  Args:
    shift: largest shift, px.
    blur: largest std of the Gaussian, px.

  Returns float32 [h w] in [0, 1].
  """
  angle, length, sigma = rng.uniform(0, (2 * np.pi, shift, blur))
  if length > 0:
    moved = np.float32([[1, 0, length * np.cos(angle)], [0, 1, length * np.sin(angle)]])
    mask = cv2.warpAffine(mask, moved, mask.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
  return silhouettes.soften(mask, sigma)
