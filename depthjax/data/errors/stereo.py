"""What stereo makes of a true disparity: the "natural" targets, as photographs have them."""

import cv2
import numpy as np

from depthjax.data.errors import noise


def matched(rng: np.random.Generator, disparity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Disparity as matching two photographs gives it, and where it gives any.

  Edges are displaced by up to a few pixels and blurred. What the second camera does not see has no
  disparity; neither have some of the pixels beside edges. The rest has mild noise.

  Args:
    disparity: float32 [h w], complete.

  Returns:
    Disparity [h w], in holes any number of about its range, and bool [h w], false in holes.
  """
  h, w = disparity.shape
  scale = max(h, w) / 320
  span = float(disparity.max() - disparity.min())
  seen = visible(disparity, rng.uniform(0.005, 0.025) * w / max(span, 1e-6), rng.random() < 0.5)
  valid = seen & ~_missed(rng, disparity, span, scale)
  out = _displaced(rng, disparity, rng.uniform(0.5, 2.0) * scale)
  out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 1.5) * max(scale, 0.5))
  grain = cv2.GaussianBlur(rng.standard_normal((h, w), np.float32), (0, 0), max(0.7, scale))
  out += grain * (rng.uniform(0.0, 0.01) * span)
  return out, valid


def visible(disparity: np.ndarray, baseline: float, mirrored: bool = False) -> np.ndarray:
  """Which pixels a second camera beside the first sees, too: bool [h w].

  Args:
    disparity: [h w], near is large.
    baseline: pixels that a disparity of 1 moves; a pixel moves to the left, or right if mirrored.
  """
  if mirrored:
    return visible(disparity[:, ::-1], baseline)[:, ::-1]
  moved = np.arange(disparity.shape[1], dtype=np.float32) - np.float32(baseline) * disparity
  # Of what lies to the right of a pixel, something nearer has moved to its left.
  least = np.minimum.accumulate(moved[:, ::-1], axis=1)[:, ::-1]
  return moved <= least


def _missed(rng, disparity, span, scale):
  """Pixels beside edges for which no match is found: bool [h w], in patches along the edges."""
  edges = noise.steps(disparity) > noise.STEP * span
  size = 2 * round(rng.uniform(0.5, 2.0) * scale) + 1
  near = cv2.dilate(edges.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
  return near & (noise.smooth(rng, disparity.shape, 16) > rng.uniform(1.0, 2.0))


def _displaced(rng, disparity, amount):
  """The map pulled about smoothly, by `amount` pixels of deviation."""
  h, w = disparity.shape
  x, y = (noise.smooth(rng, (h, w), 12) * np.float32(amount) for _ in range(2))
  x += np.arange(w, dtype=np.float32)
  y += np.arange(h, dtype=np.float32)[:, None]
  return cv2.remap(disparity, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
