"""Soft-edged silhouettes of drawn objects: solid, thin, with holes, cluttered.

Each family draws an object into a square canvas of twice the resolution of the result; `outline`
downsamples it and blurs its edge. Coordinates of shapes are in units of half a canvas, with the
origin in the middle and y down; objects fill about [-0.9, 0.9].
"""

import cv2
import numpy as np

from depthjax.data.scenes import strokes, textures, thin_shapes

SUPERSAMPLING = 2  # Of a silhouette, in each direction.


def outline(
  rng: np.random.Generator, family: str, size: int, *, softness: float, holes: float = 0.25
) -> np.ndarray:
  """The alpha of an object, uint8 [size size]; its border is empty unless its family fills it.

  Args:
    family: one of FAMILIES.
    size: height and width of the canvas, pixels.
    softness: width of the edge, pixels (two standard deviations of a Gaussian).
    holes: probability of holes in a solid object.
  """
  canvas = np.zeros((SUPERSAMPLING * size, SUPERSAMPLING * size), np.uint8)
  FAMILIES[family][1](rng, canvas)
  thin = family in thin_shapes.FAMILIES
  if not thin and rng.random() < holes:
    for _ in range(rng.integers(1, 5)):
      hole = strokes.closed_curve(rng, roughness=rng.uniform(0, 0.3)) * rng.uniform(0.08, 0.3)
      strokes.fill(canvas, hole + rng.uniform(-0.4, 0.4, 2), 0)
  alpha = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
  # A wide blur would lower the alpha of thin parts below one half everywhere.
  sigma = 0.5 * (min(softness, 1.0) if thin else softness)
  return cv2.GaussianBlur(alpha, (0, 0), sigma) if sigma > 0.25 else alpha


def _stretch(rng, points, least=0.45):
  """Compresses points along one axis by a random factor, then rotates them by a random angle."""
  return strokes.rotate(np.asarray(points) * [1, rng.uniform(least, 1)], rng.uniform(0, 2 * np.pi))


def _ellipse(rng, canvas):
  angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
  power = rng.choice([1.0, 0.5, 0.25])  # Superellipses, from round to a rounded box.
  cos, sin = np.cos(angle), np.sin(angle)
  points = np.stack([np.sign(cos) * np.abs(cos) ** power, np.sign(sin) * np.abs(sin) ** power], -1)
  strokes.fill(canvas, _stretch(rng, 0.72 * points))
  if rng.random() < 0.2:  # A ring.
    strokes.fill(canvas, strokes.rotate(rng.uniform(0.35, 0.6) * points, rng.uniform(0, 6)), 0)


def _polygon(rng, canvas):
  count = rng.integers(3, 9)
  angle = np.sort(rng.uniform(0, 2 * np.pi, count) * 0.3 + np.arange(count) * 2 * np.pi / count)
  hull = cv2.convexHull(np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32))[:, 0]
  strokes.fill(canvas, _stretch(rng, 0.9 * hull))


def _star(rng, canvas):
  count = rng.integers(4, 12)
  angle = np.arange(2 * count) * np.pi / count + rng.normal(0, 0.06, 2 * count)
  radius = np.where(np.arange(2 * count) % 2, rng.uniform(0.3, 0.75), 0.9)
  radius = radius * rng.uniform(0.75, 1, 2 * count)
  points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
  strokes.fill(canvas, _stretch(rng, points, 0.7))


def _blob(rng, canvas):
  roughness, harmonics = rng.uniform(0.15, 0.5), int(rng.integers(3, 16))
  curve = strokes.closed_curve(rng, roughness=roughness, harmonics=harmonics)
  strokes.fill(canvas, _stretch(rng, curve))


def _vase(rng, canvas):
  """A profile and its mirror image, about upright: bottles, trees, pawns, lamps."""
  height = np.linspace(-0.9, 0.9, 60)
  knots = rng.uniform(0.12, 1, rng.integers(4, 8))
  if rng.random() < 0.6:  # Smooth, otherwise with corners.
    spline = cv2.resize(knots[None].astype(np.float32), (60, 1), interpolation=cv2.INTER_CUBIC)
    profile = np.maximum(0.06, spline[0])
  else:
    profile = np.interp(height, np.linspace(-0.9, 0.9, len(knots)), knots)
  profile = profile * rng.uniform(0.25, 0.7)
  right = np.stack([profile, height], -1)
  points = np.concatenate([right, right[::-1] * [-1, 1]])
  strokes.fill(canvas, strokes.rotate(points, rng.normal(0, 0.1)))


def _figure(rng, canvas):
  """A standing figure with a head, a trunk and limbs."""
  lean, wide = rng.normal(0, 0.06), rng.uniform(0.16, 0.3)
  head = np.array([lean * 3, -0.68])
  body = strokes.closed_curve(rng, roughness=0.12) * [wide, 0.38] / 0.9 + [lean, -0.18]
  strokes.fill(canvas, body)
  circle = strokes.closed_curve(rng, roughness=0.06)
  strokes.fill(canvas, circle * rng.uniform(0.18, 0.24) + head)
  strokes.stroke(canvas, [head, [lean, -0.2]], [wide * 0.5])
  for side in (-1, 1):
    shoulder = np.array([lean + side * wide * 0.75, -0.42])
    elbow = shoulder + rng.uniform([0, -0.3], [0.35, 0.4]) * [side, 1]
    hand = elbow + rng.uniform([-0.2, -0.4], [0.3, 0.4]) * [side, 1]
    strokes.stroke(canvas, [shoulder, elbow, hand], [wide * 0.42, wide * 0.34])
    hip = np.array([lean + side * wide * 0.4, 0.05])
    foot = hip + [side * rng.uniform(0, 0.3), 0.85]
    knee = (hip + foot) / 2 + rng.normal(0, 0.04, 2)
    strokes.stroke(canvas, [hip, knee, foot], [wide * 0.6, wide * 0.45])


def _puddle(rng, canvas):
  """Thresholded noise, more likely in the middle: ragged islands with holes."""
  small = min(128, canvas.shape[0])
  field = textures.noise(rng, small, small, cells=rng.uniform(2, 5), octaves=4)
  axis = np.linspace(-1, 1, small, dtype=np.float32)
  field = field - 0.55 * (axis**2 + axis[:, None] ** 2)
  level = np.quantile(field, rng.uniform(0.6, 0.8))
  field = cv2.resize(field, canvas.shape[::-1], interpolation=cv2.INTER_CUBIC)
  canvas[...] = cv2.compare(field, float(level), cv2.CMP_GT)


def _foliage(rng, canvas):
  """Leaves around a stem."""
  bend = rng.normal(0, 0.25)
  along = np.linspace(0, 1, 12)
  stem = np.stack([bend * along**2, 0.9 - 1.6 * along], -1)
  tilt = rng.uniform(0, 2 * np.pi) if rng.random() < 0.4 else rng.normal(0, 0.2)
  strokes.stroke(canvas, strokes.rotate(stem, tilt), np.linspace(0.05, 0.015, 12))
  angle = np.linspace(0, 2 * np.pi, 30)
  slim = rng.uniform(0.15, 0.45)
  leaf = np.stack([0.5 - 0.5 * np.cos(angle), slim * np.sin(angle) * np.abs(np.sin(angle / 2))], -1)
  for t in rng.uniform(0.1, 1, rng.integers(8, 26)):
    root = np.array([bend * t * t, 0.9 - 1.6 * t])
    direction = -np.pi / 2 + rng.choice([-1, 1]) * rng.uniform(0.3, 1.6)
    blade = strokes.rotate(leaf * rng.uniform(0.25, 0.6), direction) + root
    strokes.fill(canvas, np.clip(strokes.rotate(blade, tilt), -0.97, 0.97))


# Name -> (relative frequency, function).
FAMILIES = {
  'ellipse': (3, _ellipse),
  'polygon': (3, _polygon),
  'star': (2, _star),
  'blob': (5, _blob),
  'vase': (4, _vase),
  'figure': (3, _figure),
  'puddle': (3, _puddle),
  'foliage': (3, _foliage),
  **thin_shapes.FAMILIES,
}
