"""Silhouettes of thin and cluttered objects, which are the hardest for renderers and upsampling.

Each function draws one object into a square canvas, uint8 [size size], as in `shapes`.
"""

import cv2
import numpy as np

from depthjax.data.scenes import strokes, textures


def _branch(rng, canvas):
  """A branching tree without leaves."""
  spread, thick = rng.uniform(0.25, 0.7), rng.uniform(0.05, 0.13)
  tilt = rng.uniform(0, 2 * np.pi)
  tips = [(np.array([0.0, 0.95]), -np.pi / 2, 0.6, thick, 0)]
  while tips:
    root, angle, length, width, depth = tips.pop()
    tip = root + length * np.array([np.cos(angle), np.sin(angle)])
    strokes.stroke(canvas, strokes.rotate([root, tip], tilt), [width])
    if depth < 5:
      for side in (-1, 1):
        shorter = length * rng.uniform(0.6, 0.85)
        bent = angle + side * spread * rng.uniform(0.4, 1.3)
        tips.append((tip, bent, shorter, 0.66 * width, depth + 1))


def _fan(rng, canvas):
  """Bars that start at one point, like spokes, reeds or grass."""
  count, arc = rng.integers(5, 18), rng.uniform(0.5, 2 * np.pi)
  hub = rng.uniform(-0.2, 0.2, 2) if arc > 3 else np.array([0.0, 0.9])
  thick, curl = rng.uniform(0.015, 0.05), rng.normal(0, 0.5)
  t = np.linspace(0, 1, 8)[:, None]
  for angle in -np.pi / 2 + arc * (np.linspace(-0.5, 0.5, count) + rng.normal(0, 0.02, count)):
    long = rng.uniform(0.6, 1.0) * (1.0 if arc > 3 else 1.8)
    bent = angle + curl * t
    path = hub + long * t * np.concatenate([np.cos(bent), np.sin(bent)], -1)
    strokes.stroke(canvas, path, np.linspace(thick, 0.4 * thick, 8))


def _fence(rng, canvas):
  """Bars or a grid across the canvas."""
  tilt = rng.normal(0, 0.15) if rng.random() < 0.6 else rng.uniform(0, np.pi)
  gap = np.exp(rng.uniform(np.log(0.14), np.log(0.5)))
  thick = gap * rng.uniform(0.08, 0.3)
  for x in np.arange(-1.4 + gap * rng.random(), 1.4, gap):
    strokes.stroke(canvas, strokes.rotate([[x, -1.5], [x, 1.5]], tilt), [thick])
  rails = np.arange(-1.4, 1.4, gap * rng.uniform(0.8, 2)) if rng.random() < 0.5 else [-0.6, 0.6]
  for y in rails:
    rail = strokes.rotate([[-1.5, y], [1.5, y]], tilt)
    strokes.stroke(canvas, rail, [thick * rng.uniform(0.6, 1.2)])


def _hair(rng, canvas):
  """A round body with strands around it."""
  core = strokes.closed_curve(rng, roughness=0.12) * rng.uniform(0.45, 0.65)
  strokes.fill(canvas, core)
  count = int(rng.integers(40, 140))
  start = core[rng.integers(0, len(core), count)] * 0.95
  angle = np.arctan2(start[:, 1], start[:, 0]) + rng.normal(0, 0.35, count)
  curl, long = rng.normal(0, 0.9, count), rng.uniform(0.1, 0.5, count)
  t = np.linspace(0, 1, 7)
  bent = angle[:, None] + curl[:, None] * t
  steps = (long / 7)[:, None, None] * np.stack([np.cos(bent), np.sin(bent)], -1)
  paths = strokes.to_pixels(canvas, start[:, None] + np.cumsum(steps, 1))
  thick = int(max(2, round(canvas.shape[0] * rng.uniform(0.003, 0.008))))
  cv2.polylines(canvas, list(paths), False, 255, thick, cv2.LINE_AA, 4)


def _scatter(rng, canvas):
  """Many small pieces, like petals, gravel or a flock of birds."""
  piece = strokes.closed_curve(rng, roughness=rng.uniform(0, 0.4), harmonics=5, samples=24)
  piece = piece * [1, rng.uniform(0.3, 1)]
  count = int(rng.integers(15, 70))
  centres = rng.normal(0, 0.4, (count, 2)).clip(-0.85, 0.85)
  sizes = rng.uniform(0.03, 0.09) * rng.uniform(0.6, 1.6, count)
  for centre, size, angle in zip(centres, sizes, rng.uniform(0, 6.3, count), strict=True):
    strokes.fill(canvas, strokes.rotate(size * piece, angle) + centre)


def _letters(rng, canvas):
  """Lines of large letters."""
  side = canvas.shape[0]
  lines = int(rng.integers(1, 4))
  size = side / (1.3 * lines + 0.5)
  for line in range(lines):
    text = ''.join(rng.choice(textures.LETTERS[:44], rng.integers(2, 3 + 2 * lines)))
    wide = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)[0][0]
    scale = min(size / 24, 0.95 * side / max(wide, 1))
    at = (int(0.02 * side), int((line + 0.95) * 1.3 * size))
    thick = max(3, round(scale * rng.uniform(2, 5)))
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)


# Name -> (relative frequency, function); about a third of the objects of shapes.FAMILIES.
FAMILIES = {
  'branch': (3, _branch),
  'fan': (2, _fan),
  'fence': (2, _fence),
  'hair': (3, _hair),
  'scatter': (2, _scatter),
  'letters': (2, _letters),
}
