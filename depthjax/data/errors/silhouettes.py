"""Errors of a simulated depth predictor at the boundaries of silhouettes."""

import cv2
import numpy as np

MIN_AREA = 0.25  # Fraction of a silhouette's area that an erosion keeps.


def corrupt(
  rng: np.random.Generator,
  silhouettes: np.ndarray,
  *,
  scale: float,
  probability: float = 0.7,
  radius: int = 6,
  sigma: float = 2.0,
) -> np.ndarray:
  """Dilates or erodes foreground silhouettes and blurs their boundaries.

  A silhouette is dilated or eroded (with equal chance) by r ~ U{0 .. radius} and blurred by a
  Gaussian of std U(0, sigma), both in px at a long side of 320. Nothing changes further than
  scale * (radius + 3 * sigma) + 1 px from the boundary. Erosion is limited so that MIN_AREA of a
  thin structure remains: an object missing from the disparity could not be blurred at all. The last
  layer, the background, does not change.
  Source: DeepLens section 4.2 (dilation, erosion); the amounts are ours.

  Args:
    silhouettes: uint8 [l h w], 0 or 255, near first; the result has values from 0 to 255.
    scale: the long side of the frame over 320.
    probability: probability that a silhouette is changed.
  """
  out = silhouettes.copy()
  for mask in out[:-1]:
    # All numbers are drawn for every mask, so that `probability` does not affect later draws.
    chance, grows = rng.random(), rng.random() < 0.5
    r, std = scale * rng.integers(0, radius + 1), scale * rng.uniform(0, sigma)
    if chance < probability:
      mask[...] = soften(dilate(mask, r) if grows else _erode_partly(mask, r), std)
  return out


def dilate(mask: np.ndarray, r: float) -> np.ndarray:
  """Dilates a mask, uint8 [h w] in {0, 255}, by a disc of radius r px; r < 1 changes nothing."""
  if r < 1:
    return mask
  distance = cv2.distanceTransform(cv2.bitwise_not(mask), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
  return cv2.compare(distance, float(r), cv2.CMP_LE)


def erode(mask: np.ndarray, r: float) -> np.ndarray:
  """Erodes a mask, uint8 [h w] in {0, 255}, by a disc of radius r px; r < 1 changes nothing."""
  return cv2.bitwise_not(dilate(cv2.bitwise_not(mask), r))


def _erode_partly(mask, r):
  """Erodes a mask by at most r, so that MIN_AREA of it remains."""
  area = cv2.countNonZero(mask)
  while r >= 1:
    eroded = erode(mask, r)
    if cv2.countNonZero(eroded) >= MIN_AREA * area:
      return eroded
    r -= 1
  return mask


def soften(mask: np.ndarray, sigma: float) -> np.ndarray:
  """Blurs a mask, uint8 [h w], by a Gaussian truncated at 3 sigma, in px."""
  if sigma < 0.1:
    return mask
  size = 2 * int(np.ceil(3 * sigma)) + 1
  return cv2.GaussianBlur(mask, (size, size), sigma, borderType=cv2.BORDER_REPLICATE)
