"""Errors of a simulated depth predictor: every silhouette is a little wrong at its boundary."""

import cv2
import numpy as np

LEAST = 0.25  # share of a silhouette that an erosion must leave


def corrupt(
  rng: np.random.Generator,
  silhouettes: np.ndarray,
  *,
  scale: float,
  probability: float = 0.7,
  radius: int = 6,
  sigma: float = 2.0,
) -> np.ndarray:
  """Dilates or erodes every foreground silhouette, then blurs its boundary.

  A silhouette grows or shrinks (evenly likely) by r ~ U{0 .. radius} and is blurred by a Gaussian
  of deviation U(0, sigma), both in px at a long side of 320. Nothing changes further than
  scale * (radius + 3 * sigma) + 1 px from the boundary. Erosion by more than a thin structure
  bears is lessened until a quarter of it stays: what a predictor misses altogether, nothing that
  looks at its disparity can blur. The last layer, the background, never changes.
  Source: DeepLens section 4.2 (dilation, erosion); amounts are our choice.

  Args:
    silhouettes: uint8 [l h w], 0 or 255, near first.
    scale: the long side of the frame over 320.
    probability: of a silhouette being corrupted.

  Returns:
    uint8 [l h w], 0 to 255.
  """
  out = silhouettes.copy()
  for mask in out[:-1]:
    # All numbers are drawn for every mask, so that one probability does not shift the next draw.
    chance, grows = rng.random(), rng.random() < 0.5
    r, deviation = scale * rng.integers(0, radius + 1), scale * rng.uniform(0, sigma)
    if chance < probability:
      mask[...] = soften(dilate(mask, r) if grows else _wear(mask, r), deviation)
  return out


def dilate(mask: np.ndarray, r: float) -> np.ndarray:
  """Grows a mask, uint8 [h w] in {0, 255}, by a disc of any radius r in px."""
  if r < 1:
    return mask
  distance = cv2.distanceTransform(cv2.bitwise_not(mask), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
  return cv2.compare(distance, float(r), cv2.CMP_LE)


def erode(mask: np.ndarray, r: float) -> np.ndarray:
  """Shrinks a mask, uint8 [h w] in {0, 255}, by a disc of any radius r in px."""
  return cv2.bitwise_not(dilate(cv2.bitwise_not(mask), r))


def _wear(mask, r):
  """Erodes a mask by at most r, so that LEAST of it stays."""
  area = cv2.countNonZero(mask)
  while r >= 1:
    worn = erode(mask, r)
    if cv2.countNonZero(worn) >= LEAST * area:
      return worn
    r -= 1
  return mask


def soften(mask: np.ndarray, sigma: float) -> np.ndarray:
  """Blurs a mask, uint8 [h w], by a Gaussian cut at 3 sigma, in px."""
  if sigma < 0.1:
    return mask
  size = 2 * int(np.ceil(3 * sigma)) + 1
  return cv2.GaussianBlur(mask, (size, size), sigma, borderType=cv2.BORDER_REPLICATE)
