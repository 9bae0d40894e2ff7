"""Silhouettes, uint8 [h w] in {0, 255}, without holes or thin parts, and inaccurate masks."""

import cv2
import numpy as np

from depthjax.data.errors import silhouettes


def filled(mask: np.ndarray, *, radius: float, hole: float) -> np.ndarray:
  """Adds concavities and holes, where predictors miss the background (P4).

  Args:
    radius: of the disc of a morphological closing; below 1 no concavity is filled.
    hole: largest area of a 4-connected hole that is filled, as a fraction of the map's.
  """
  closed = silhouettes.erode(silhouettes.dilate(mask, radius), radius)
  outside = cv2.bitwise_not(mask)
  _, labels, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
  left, top, width, height, area = stats.T
  inside = (left > 0) & (left + width < mask.shape[1]) & (top > 0) & (top + height < mask.shape[0])
  inside &= area <= hole * mask.size
  return np.where(inside[labels] & (outside > 0), np.uint8(255), closed)


def without_thin(mask: np.ndarray, width: float) -> np.ndarray:
  """Removes parts narrower than `width` px, by a morphological opening with a disc (P5).

  A silhouette of which less than silhouettes.MIN_AREA would remain does not change.
  """
  opened = silhouettes.dilate(silhouettes.erode(mask, width / 2), width / 2)
  enough = cv2.countNonZero(opened) >= silhouettes.MIN_AREA * cv2.countNonZero(mask)
  return opened if enough else mask


def jittered(rng: np.random.Generator, mask: np.ndarray, shift: float, blur: float) -> np.ndarray:
  """A mask, float32 [h w], shifted by up to `shift` px and blurred by up to `blur` px (P8)."""
  angle, length, sigma = rng.uniform(0, (2 * np.pi, shift, blur))
  if length > 0:
    moved = np.float32([[1, 0, length * np.cos(angle)], [0, 1, length * np.sin(angle)]])
    mask = cv2.warpAffine(mask, moved, mask.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
  return silhouettes.soften(mask, sigma)
