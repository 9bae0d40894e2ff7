"""Soft-edged silhouettes of drawn objects: solid, thin, with holes, cluttered.

Every family draws an object into a square canvas that is twice as fine as the result; `outline`
averages it down and softens its edge. Coordinates inside a family are in units of half a canvas,
with the origin in its middle and y down; objects fill about [-0.9, 0.9].
"""

import cv2
import numpy as np

from depthjax.data.scenes import strokes, textures, thin_shapes

FINE = 2  # linear supersampling of a silhouette

# Families and how often they are drawn. About a third is thin or cluttered: there the renderers
# and the guided upsampling fail first.
FAMILIES = {
  'ellipse': 3,
  'polygon': 3,
  'star': 2,
  'blob': 5,
  'vase': 4,
  'figure': 3,
  'puddle': 3,
  'foliage': 3,
  'branch': 3,
  'fan': 2,
  'fence': 2,
  'hair': 3,
  'scatter': 2,
  'letters': 2,
}
THIN = frozenset({'branch', 'fan', 'fence', 'hair', 'scatter', 'letters'})


def outline(
  rng: np.random.Generator, family: str, size: int, *, softness: float, holes: float = 0.25
) -> np.ndarray:
  """An object in a square canvas.

  Args:
    family: one of FAMILIES.
    size: side of the canvas in px.
    softness: width of the edge in px (two deviations of the Gaussian over it).
    holes: probability of holes in a solid object.

  Returns:
    alpha, uint8 [size size]; the border is empty unless the family fills its canvas.

  Raises:
    ValueError: the family is unknown.
  """
  if family not in FAMILIES:
    raise ValueError(f'family is {family!r}; it must be one of {", ".join(FAMILIES)}')
  canvas = np.zeros((FINE * size, FINE * size), np.uint8)
  _DRAWERS[family](rng, canvas)
  if family not in THIN and rng.random() < holes:
    _punch(rng, canvas)
  alpha = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
  # A thin part must keep an opaque core, else nothing is left of it above one half.
  sigma = 0.5 * (min(softness, 1.0) if family in THIN else softness)
  return cv2.GaussianBlur(alpha, (0, 0), sigma) if sigma > 0.25 else alpha


def draw_family(rng: np.random.Generator) -> str:
  """The name of a family, by the weights in FAMILIES."""
  weights = np.array(list(FAMILIES.values()), np.float64)
  return list(FAMILIES)[rng.choice(len(weights), p=weights / weights.sum())]


def _stretch(rng, points, least=0.45):
  """Squeezes points along one axis and turns them."""
  return strokes.turn(np.asarray(points) * [1, rng.uniform(least, 1)], rng.uniform(0, 2 * np.pi))


def _ellipse(rng, canvas):
  angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
  power = rng.choice([1.0, 0.5, 0.25])  # superellipses up to rounded boxes
  cos, sin = np.cos(angle), np.sin(angle)
  points = np.stack([np.sign(cos) * np.abs(cos) ** power, np.sign(sin) * np.abs(sin) ** power], -1)
  strokes.fill(canvas, _stretch(rng, 0.72 * points))
  if rng.random() < 0.2:  # a ring
    strokes.fill(canvas, strokes.turn(rng.uniform(0.35, 0.6) * points, rng.uniform(0, 6)), 0)


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
  curve = strokes.closed_curve(
    rng, roughness=rng.uniform(0.15, 0.5), harmonics=int(rng.integers(3, 16))
  )
  strokes.fill(canvas, _stretch(rng, curve))


def _vase(rng, canvas):
  """A turned profile: bottles, trees, pawns, lamps; upright, mirrored."""
  height = np.linspace(-0.9, 0.9, 60)
  knots = rng.uniform(0.12, 1, rng.integers(4, 8))
  places = np.linspace(-0.9, 0.9, len(knots))
  if rng.random() < 0.6:  # smooth, else with corners
    spline = cv2.resize(knots[None].astype(np.float32), (60, 1), interpolation=cv2.INTER_CUBIC)
    profile = np.maximum(0.06, spline[0])
  else:
    profile = np.interp(height, places, knots)
  profile = profile * rng.uniform(0.25, 0.7)
  right = np.stack([profile, height], -1)
  strokes.fill(
    canvas, strokes.turn(np.concatenate([right, right[::-1] * [-1, 1]]), rng.normal(0, 0.1))
  )


def _figure(rng, canvas):
  """A standing figure of a head, a trunk and limbs."""
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
    strokes.stroke(
      canvas, [hip, (hip + foot) / 2 + rng.normal(0, 0.04, 2), foot], [wide * 0.6, wide * 0.45]
    )


def _puddle(rng, canvas):
  """Thresholded noise under a round window: ragged islands with holes of their own."""
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
  turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.4 else rng.normal(0, 0.2)
  strokes.stroke(canvas, strokes.turn(stem, turn), np.linspace(0.05, 0.015, 12))
  angle = np.linspace(0, 2 * np.pi, 30)
  slim = rng.uniform(0.15, 0.45)
  leaf = np.stack([0.5 - 0.5 * np.cos(angle), slim * np.sin(angle) * np.abs(np.sin(angle / 2))], -1)
  for t in rng.uniform(0.1, 1, rng.integers(8, 26)):
    root = np.array([bend * t * t, 0.9 - 1.6 * t])
    direction = -np.pi / 2 + rng.choice([-1, 1]) * rng.uniform(0.3, 1.6)
    blade = strokes.turn(leaf * rng.uniform(0.25, 0.6), direction) + root
    strokes.fill(canvas, np.clip(strokes.turn(blade, turn), -0.97, 0.97))


def _punch(rng, canvas):
  """Cuts a few holes."""
  for _ in range(rng.integers(1, 5)):
    hole = strokes.closed_curve(rng, roughness=rng.uniform(0, 0.3)) * rng.uniform(0.08, 0.3)
    strokes.fill(canvas, hole + rng.uniform(-0.4, 0.4, 2), 0)


_DRAWERS = {
  'ellipse': _ellipse,
  'polygon': _polygon,
  'star': _star,
  'blob': _blob,
  'vase': _vase,
  'figure': _figure,
  'puddle': _puddle,
  'foliage': _foliage,
  'branch': thin_shapes.branch,
  'fan': thin_shapes.fan,
  'fence': thin_shapes.fence,
  'hair': thin_shapes.hair,
  'scatter': thin_shapes.scatter,
  'letters': thin_shapes.letters,
}
