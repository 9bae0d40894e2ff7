"""Procedural colour textures, uint8 sRGB [h w 3].

A texture is a pattern family and a ramp of 256 colours. Layers with the same family and ramp are
camouflaged against each other. Sizes are relative to the longer side, so that a family looks the
same at any resolution.
"""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

LETTERS = np.array(list('abcdefghiklmnoprstuvwxyzABDEGHKMNRST0123456789    .,'))


def noise(
  rng: np.random.Generator,
  h: int,
  w: int,
  *,
  cells: float = 4.0,
  octaves: int = 5,
  gain: float = 0.55,
  aspect: float = 1.0,
) -> np.ndarray:
  """Multi-octave value noise, float32 [h w], normalised to [0, 1].

  Args:
    cells: noise cells along the longer side in the first octave; doubled in each octave.
    gain: amplitude of an octave relative to the previous one.
    aspect: width of a cell divided by its height.
  """
  total = np.zeros((h, w), np.float32)
  side, amplitude = max(h, w), 1.0
  for _ in range(octaves):
    rows = int(np.ceil(cells * np.sqrt(aspect) * h / side)) + 1
    columns = int(np.ceil(cells / np.sqrt(aspect) * w / side)) + 1
    grid = rng.random((min(rows, h), min(columns, w)), dtype=np.float32)
    # Cubic interpolation hides the lattice of coarse octaves; for fine ones linear is faster.
    mode = cv2.INTER_CUBIC if cells < 24 else cv2.INTER_LINEAR
    cv2.scaleAdd(cv2.resize(grid, (w, h), interpolation=mode), amplitude, total, total)
    cells, amplitude = 2 * cells, gain * amplitude
    if min(rows, columns) > side:
      break
  return cv2.normalize(total, total, 0.0, 1.0, cv2.NORM_MINMAX)


def colour_ramp(rng: np.random.Generator) -> np.ndarray:
  """A random smooth ramp of sRGB colours, uint8 [256 3], from 2 to 5 colours of related hues."""
  count = rng.integers(2, 6)
  hue, spread = rng.uniform(0, 180), rng.choice([8.0, 25.0, 90.0], p=[0.45, 0.35, 0.2])
  hues = (hue + rng.normal(0, spread, count)) % 180
  # Most surfaces in photos are unsaturated; 30 % of the ramps are vivid.
  saturation = rng.beta(1.6, 2.4 if rng.random() < 0.7 else 1.0, count) * 255
  low, high = np.sort(rng.uniform(0, 255, 2))
  low, high = (low, high) if high - low > 70 else (max(0, low - 50), min(255, high + 50))
  value = rng.permutation(np.linspace(low, high, count))
  colours = np.stack([hues, saturation, value], -1)[None].astype(np.uint8)
  colours = cv2.cvtColor(colours, cv2.COLOR_HSV2RGB)[0].astype(np.float32)
  stops = np.concatenate([[0], np.sort(rng.uniform(30, 225, count - 2)), [255]])
  steps = np.arange(256)
  ramp = np.stack([np.interp(steps, stops, channel) for channel in colours.T], -1)
  return np.rint(ramp).astype(np.uint8)


def paint(rng: np.random.Generator, family: str, ramp: np.ndarray, h: int, w: int) -> np.ndarray:
  """A texture of a family in FAMILIES in the colours of a ramp [256 3]: uint8 sRGB [h w 3]."""
  image = FAMILIES[family][1](rng, ramp, h, w)
  if family != 'lights' and rng.random() < 0.5:  # Uneven light.
    light = 1 - rng.uniform(0.1, 0.45) * noise(rng, h, w, cells=rng.uniform(1, 3), octaves=1)
    image = cv2.multiply(image, cv2.merge([light] * 3), dtype=cv2.CV_8U)
  if rng.random() < 0.3:  # Sensor noise, equal in the three channels.
    strength = int(rng.integers(4, 20))
    plane = rng.integers(0, strength, (h, w), dtype=np.uint8)
    image = cv2.subtract(cv2.add(image, cv2.merge([plane] * 3)), (strength // 2,) * 3 + (0,))
  return image


def draw_family(rng: np.random.Generator, families: Mapping[str, tuple[int, Callable]]) -> str:
  """A random name from a table name -> (relative frequency, function)."""
  weights = np.array([weight for weight, _ in families.values()], np.float64)
  return list(families)[rng.choice(len(weights), p=weights / weights.sum())]


def add_lights(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
  """Draws small clipped lights into an image, in place; defocused, they become bokeh discs."""
  h, w = image.shape[:2]
  side = max(h, w)
  count = int(rng.integers(4, 60))
  centre = rng.uniform(0, 1, 2) * (w, h)
  scattered = rng.uniform(0, 1, (count, 2)) * (w, h)
  clustered = centre + rng.normal(0, side * rng.uniform(0.05, 0.3), (count, 2))
  positions = np.where(rng.random((count, 1)) < 0.5, scattered, clustered)
  radii = np.minimum(0.6 + side * 0.003 * rng.pareto(2.5, count), 0.02 * side)
  tint = np.array([255, rng.uniform(190, 255), rng.uniform(110, 255)])
  tint = rng.permutation(tint) if rng.random() < 0.3 else tint
  for (x, y), radius in zip(positions, radii, strict=True):
    glow = np.clip(tint * rng.uniform(0.75, 1.0, 3), 0, 255).astype(int).tolist()
    at = (int(x * 16), int(y * 16))
    cv2.circle(image, at, int(radius * 26), glow, -1, cv2.LINE_AA, 4)
    cv2.circle(image, at, int(radius * 16), (255, 253, 248), -1, cv2.LINE_AA, 4)
  return image


def _apply(ramp, field):
  levels = cv2.convertScaleAbs(field, alpha=255.0)
  return cv2.applyColorMap(levels, ramp[:, None])


def _coordinate(rng, h, w):
  """Pixel coordinates along and across a random direction, two float32 [h w]."""
  angle = rng.uniform(0, 2 * np.pi)
  cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
  x, y = np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32)[:, None]
  return cos * x + sin * y, cos * y - sin * x


def _wave(coordinate, period, duty):
  """A square wave with edges one pixel wide: float32 in [0, 1]."""
  phase = np.abs(np.mod(coordinate / np.float32(period), 1) - np.float32(0.5)) * np.float32(period)
  return np.clip(phase - np.float32(0.5 * duty * period) + np.float32(0.5), 0, 1)


def _rotated(image, degrees, h, w):
  """The middle [h w ...] of a square image that is rotated about its centre."""
  side = len(image)
  matrix = cv2.getRotationMatrix2D((side / 2, side / 2), degrees, 1.0)
  matrix[:, 2] -= ((side - w) / 2, (side - h) / 2)
  return cv2.warpAffine(image, matrix, (w, h), borderMode=cv2.BORDER_REFLECT_101)


def _clouds(rng, ramp, h, w):
  cells = np.exp(rng.uniform(np.log(2), np.log(16)))
  return _apply(ramp, noise(rng, h, w, cells=cells, gain=rng.uniform(0.4, 0.85)))


def _marble(rng, ramp, h, w):
  side = max(h, w)
  along, _ = _coordinate(rng, h, w)
  bent = noise(rng, h, w, cells=rng.uniform(2, 6), octaves=4)
  waves = rng.uniform(2, 12)
  field = cv2.scaleAdd(bent, float(rng.uniform(1, 5)), along * np.float32(waves / side))
  return _apply(ramp, np.abs(np.mod(field, 2) - 1))


def _fibres(rng, ramp, h, w):
  side = int(1.5 * max(h, w)) if rng.random() < 0.7 else max(h, w)
  cells, aspect = rng.uniform(4, 14), rng.uniform(6, 40)
  field = noise(rng, side, side, cells=cells, octaves=4, gain=0.8, aspect=aspect)
  return _apply(ramp, _rotated(field, rng.uniform(0, 180), h, w))


def _leaves(rng, ramp, h, w):
  """Dead leaves: opaque ellipses of power-law sizes drawn over each other."""
  side = max(h, w)
  image = _clouds(rng, ramp, h, w)
  count, smallest = int(rng.integers(80, 320)), rng.uniform(0.008, 0.03)
  radii = side * np.clip(smallest * (1 + rng.pareto(1.3, count)), 0, 0.18)
  axes = np.stack([radii, radii * rng.uniform(0.25, 1, count)], -1) * 16
  centres = rng.uniform(0, 16, (count, 2)) * (w, h)
  angles = rng.uniform(0, 180) + rng.normal(0, rng.choice([10, 90]), count)
  colours = ramp[rng.integers(0, 256, count)]
  ellipses = [x.tolist() for x in (centres.astype(int), axes.astype(int), angles, colours)]
  for centre, axis, angle, colour in zip(*ellipses, strict=True):
    cv2.ellipse(image, centre, axis, angle, 0, 360, colour, -1, cv2.LINE_AA, 4)
  return image


def _mosaic(rng, ramp, h, w):
  """Tiles or bricks: a grid of cells of random colours, with joints between them."""
  side = int(1.45 * max(h, w))
  rows = int(rng.integers(6, 30))
  columns = max(2, int(rows / rng.uniform(1, 3)))
  cells = ramp[rng.integers(0, 256, (rows, columns))]
  image = cv2.resize(cells, (side, side), interpolation=cv2.INTER_NEAREST)
  joint, thick = ramp[rng.integers(256)].tolist(), int(max(1, side * rng.uniform(0.002, 0.012)))
  for row in range(rows + 1):
    y = round(row * side / rows)
    cv2.line(image, (0, y), (side, y), joint, thick)
    for column in range(columns + 1):
      x = round((column + 0.5 * (row % 2)) * side / columns)
      cv2.line(image, (x, y), (x, round((row + 1) * side / rows)), joint, thick)
  return _rotated(image, rng.uniform(-45, 45), h, w)


def _stripes(rng, ramp, h, w):
  along, _ = _coordinate(rng, h, w)
  period = max(h, w) * np.exp(rng.uniform(np.log(0.02), np.log(0.25)))
  field = _wave(along, max(3.0, period), rng.uniform(0.25, 0.75))
  if rng.random() < 0.5:
    field = 0.75 * field + 0.25 * noise(rng, h, w, cells=8)
  return _apply(ramp, field)


def _checks(rng, ramp, h, w):
  along, across = _coordinate(rng, h, w)
  period = max(4.0, max(h, w) * np.exp(rng.uniform(np.log(0.03), np.log(0.3))))
  first, second = _wave(along, period, 0.5), _wave(across, period * rng.uniform(0.7, 1.4), 0.5)
  field = np.abs(first - second) if rng.random() < 0.5 else 0.5 * (first + second)
  return _apply(ramp, 0.8 * field + 0.2 * noise(rng, h, w, cells=6, octaves=4))


def _dots(rng, ramp, h, w):
  side = max(h, w)
  image = _apply(ramp, noise(rng, h, w, cells=2, octaves=2) * np.float32(0.4))
  period = side * rng.uniform(0.04, 0.16)
  radius, shift = period * rng.uniform(0.12, 0.45), period * rng.uniform(0, 0.3)
  rows, columns = int(h / period) + 2, int(w / period) + 2
  colours = ramp[rng.integers(150, 256, (rows, columns))].tolist()
  jitter = rng.uniform(-shift, shift, (rows, columns, 2))
  for row in range(rows):
    for column in range(columns):
      x, y = (column + 0.5 * (row % 2)) * period, row * period
      at = (int(16 * (x + jitter[row, column, 0])), int(16 * (y + jitter[row, column, 1])))
      cv2.circle(image, at, int(radius * 16), colours[row][column], -1, cv2.LINE_AA, 4)
  return image


def _gradient(rng, ramp, h, w):
  along, _ = _coordinate(rng, h, w)
  field = cv2.normalize(along, None, 0.0, float(rng.uniform(0.4, 1)), cv2.NORM_MINMAX)
  return _apply(ramp, 0.93 * field + 0.07 * noise(rng, h, w, cells=16, octaves=4, gain=0.9))


def _writing(rng, ramp, h, w):
  image = _apply(ramp, 0.15 * noise(rng, h, w, cells=3))
  size = max(h, w) * rng.uniform(0.03, 0.09)
  ink, left = ramp[rng.integers(190, 256)].tolist(), int(-rng.uniform(0, 0.2) * w)
  font = cv2.FONT_HERSHEY_SIMPLEX if rng.random() < 0.5 else cv2.FONT_HERSHEY_COMPLEX
  for y in np.arange(size, h + size, 1.6 * size):
    line = ''.join(rng.choice(LETTERS, 2 * int(w / size) + 2))
    thick = max(1, round(size / 14))
    cv2.putText(image, line, (left, int(y)), font, size / 30, ink, thick, cv2.LINE_AA)
  return image


def _lights(rng, ramp, h, w):
  dark = (ramp * rng.uniform(0.1, 0.45)).astype(np.uint8)
  return add_lights(rng, _clouds(rng, dark, h, w))


# Name -> (relative frequency, function). Dead leaves (random occlusion) have the statistics of
# natural images; plain gradients stand for walls and sky, where only the edge shows the depth.
FAMILIES = {
  'clouds': (4, _clouds),
  'marble': (3, _marble),
  'fibres': (3, _fibres),
  'leaves': (5, _leaves),
  'mosaic': (2, _mosaic),
  'stripes': (2, _stripes),
  'checks': (2, _checks),
  'dots': (2, _dots),
  'gradient': (2, _gradient),
  'writing': (1, _writing),
  'lights': (2, _lights),
}
