"""Simulated stereo matching: turns a true disparity into a target as measured from two photos."""

import cv2
import numpy as np

from depthjax.data.errors import noise


def matched(rng: np.random.Generator, disparity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Disparity with the errors of stereo matching, and a mask of its valid pixels.

  Edges are displaced by up to a few pixels and blurred. Pixels hidden from the second camera, and
  some pixels beside edges, are invalid. All pixels have mild noise.

  Args:
    disparity: float32 [h w], without holes.

  Returns:
    Disparity [h w], arbitrary where invalid, and valid, bool [h w].
  """
  h, w = disparity.shape
  scale = max(h, w) / 320
  span = float(disparity.max() - disparity.min())
  baseline = rng.uniform(0.005, 0.025) * w / max(span, 1e-6)
  valid = visible(disparity, baseline, rng.random() < 0.5)
  valid &= ~_unmatched(rng, disparity, span, scale)
  out = displaced(rng, disparity, rng.uniform(0.5, 2.0) * scale)
  out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 1.5) * max(scale, 0.5))
  grain = cv2.GaussianBlur(rng.standard_normal((h, w), np.float32), (0, 0), max(0.7, scale))
  out += grain * (rng.uniform(0.0, 0.01) * span)
  return out, valid


def visible(disparity: np.ndarray, baseline: float, mirrored: bool = False) -> np.ndarray:
  """Pixels that are also visible from a second camera: bool [h w].

  Args:
    disparity: [h w], near is large.
    baseline: shift in px of a disparity of 1, to the left, or to the right if mirrored.
  """
  if mirrored:
    return visible(disparity[:, ::-1], baseline)[:, ::-1]
  moved = np.arange(disparity.shape[1], dtype=np.float32) - np.float32(baseline) * disparity
  # A pixel is hidden by a nearer one that was on its right and moves to its left.
  leftmost = np.minimum.accumulate(moved[:, ::-1], axis=1)[:, ::-1]
  return moved <= leftmost


def _unmatched(rng, disparity, span, scale):
  """Random patches of pixels along edges, for which no match is found: bool [h w]."""
  edges = noise.steps(disparity) > noise.STEP * span
  size = 2 * round(rng.uniform(0.5, 2.0) * scale) + 1
  near = cv2.dilate(edges.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
  return near & (noise.smooth(rng, disparity.shape, 16) > rng.uniform(1.0, 2.0))


def displaced(rng: np.random.Generator, disparity: np.ndarray, amount: float, cells: int = 12):
  """The map [h w] warped by smooth noise of `cells` cells along each axis, std `amount` px."""
  h, w = disparity.shape
  x, y = (noise.smooth(rng, (h, w), cells) * np.float32(amount) for _ in range(2))
  x += np.arange(w, dtype=np.float32)
  y += np.arange(h, dtype=np.float32)[:, None]
  return cv2.remap(disparity, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
