"""Crops of photos as textures: rotated, flipped, scaled, with jittered colours."""

import cv2
import numpy as np

MIN_SCALE = 0.6  # Photo pixels per texture pixel; a smaller scale looks blurred.


def crop(
  rng: np.random.Generator, photo: np.ndarray, h: int, w: int, *, max_angle: float = np.pi
) -> np.ndarray:
  """A random part of a photo, uint8 [h w 3], rotated by -max_angle to max_angle radians.

  The photo, uint8 [height width 3], is mirrored at its border where a crop is larger.
  """
  angle = rng.uniform(-max_angle, max_angle) if max_angle else 0.0
  cos, sin = abs(np.cos(angle)), abs(np.sin(angle))
  box = np.array([cos * w + sin * h, sin * w + cos * h])  # Extent of the rotated texture (x, y).
  size = np.array(photo.shape[1::-1], np.float64)
  largest = (size / box).min()
  least = min(largest, max(MIN_SCALE, 0.3 * largest))
  scale = np.exp(rng.uniform(np.log(least), np.log(max(least, largest))))
  span = scale * box
  centre = span / 2 + rng.random(2) * np.maximum(size - span, 0)
  if rng.random() < 0.5:
    photo, centre[0] = photo[:, ::-1], size[0] - centre[0]
  # Downsample the required part by area, against aliasing, then rotate it.
  low = np.floor(centre - span / 2 - 2).astype(int).clip(0)
  high = np.ceil(centre + span / 2 + 2).astype(int)
  part = np.ascontiguousarray(photo[low[1] : high[1], low[0] : high[0]])
  centre = centre - low
  if scale > 1.2:
    size = np.maximum(1, np.rint(np.array(part.shape[1::-1]) / scale)).astype(int)
    centre, scale = centre * size / part.shape[1::-1], 1.0
    part = cv2.resize(part, size.tolist(), interpolation=cv2.INTER_AREA)
  cos, sin = scale * np.cos(angle), scale * np.sin(angle)
  matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
  # Pixel centres are at half integers here; OpenCV puts the first one at 0.
  matrix[:, 2] = centre - 0.5 - matrix[:, :2] @ [(w - 1) / 2, (h - 1) / 2]
  flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
  return cv2.warpAffine(part, matrix, (w, h), flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def jitter(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
  """Small random changes of exposure, white balance and contrast; grey photos are often tinted."""
  steps = np.linspace(0, 1, 256)[:, None]
  exposure, balance = np.exp(rng.normal(0, 0.18)), np.exp(rng.normal(0, 0.06, 3))
  curve = steps ** np.exp(rng.normal(0, 0.2)) * exposure * balance
  gray = not (image[::7, ::7, 0] != image[::7, ::7, 2]).any()
  if gray and rng.random() < 0.75:
    # Mostly muted duotones: saturated grass and gravel are rare.
    tints = rng.uniform(0, 1, (2, 3)) * rng.beta(1, 2)
    shadow, light = 0.25 * tints[0], 1 - 0.6 * tints[1]
    curve = shadow + (light - shadow) * curve
  table = np.rint(255 * np.clip(curve, 0, 1)).astype(np.uint8)
  return cv2.LUT(image, table[None])
