"""Foregrounds of a scene on the padded canvas: drawn shapes, and objects cut out of photos."""

from collections.abc import Sequence

import cv2
import numpy as np

from depthjax.data.scenes import shapes, textures
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import mixtures

TRIES = 12  # Attempts to draw an object that passes `_fits`.
MIN_VISIBLE = 0.3  # Least fraction of an object's part in the frame that nearer objects leave.
MIN_BACKGROUND = 0.12  # Least fraction of the frame that the foregrounds leave uncovered.


def draw_objects(
  rng: np.random.Generator, config: SceneConfig, foregrounds: Sequence | None = None
) -> list[np.ndarray]:
  """The l - 1 foregrounds of a scene, near first.

  Each is uint8 [h+2p w+2p], a drawn alpha, or [h+2p w+2p 4], cut out of a photo.
  """
  free = np.full((config.height, config.width), 255, np.uint8)  # 255 where nothing covers yet.
  cut = config.mattes if foregrounds is not None and len(foregrounds) else 0.0
  objects = []
  for _ in range(config.layers - 1):
    for _ in range(TRIES):
      draw = _cut_out(rng, config, foregrounds) if rng.random() < cut else _shape(rng, config)
      if draw is not None and _fits(config, draw, free):
        break
    else:
      draw = _disc(rng, config, free)
    objects.append(draw)
    cv2.bitwise_and(free, cv2.bitwise_not(_in_frame(config, draw)), free)
  return objects


def place(
  rng: np.random.Generator, alpha: np.ndarray, h: int, w: int, *, visible: float
) -> tuple[int, int] | None:
  """A random row and column of an object's top left corner in the frame; None after 8 tries.

  The centre lies either well inside the frame or up to a quarter outside it, so that some objects
  are cut by the border.

  Args:
    alpha: uint8 [height width], the object.
    h, w: size of the frame.
    visible: least fraction of the object's area inside the frame.
  """
  total = cv2.integral(alpha)
  height, width = alpha.shape
  for _ in range(8):
    margin = rng.choice([-0.2, 0.25])
    y, x = rng.uniform(-margin, 1 + margin, 2) * (h, w) - (height / 2, width / 2)
    top, left = int(np.floor(y)), int(np.floor(x))
    y0, y1 = np.clip([-top, h - top], 0, height)
    x0, x1 = np.clip([-left, w - left], 0, width)
    inside = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
    if inside >= visible * total[-1, -1] > 0:
      return top, left
  return None


def _shape(rng, config):
  """A drawn silhouette on the padded canvas, or None if no position was found."""
  family = textures.draw_family(rng, shapes.FAMILIES)
  largest = max(config.height, config.width)
  size = int(largest * rng.uniform(0.55, 1.5))
  softness = np.exp(rng.uniform(*np.log(np.maximum(config.softness, 0.05))))
  if family == 'fence':  # It fills the padded canvas.
    alpha = shapes.outline(rng, family, largest + 2 * config.pad, softness=softness)
    return alpha[: config.height + 2 * config.pad, : config.width + 2 * config.pad]
  alpha = shapes.outline(rng, family, size, softness=softness)
  corner = place(rng, alpha, config.height, config.width, visible=config.visible)
  return None if corner is None else _on_canvas(config, alpha, corner)


def _cut_out(rng, config, foregrounds):
  """A cut-out of a photo, scaled, rotated by up to 10 degrees, flipped with probability 0.5."""
  source = foregrounds[mixtures.pick(rng, foregrounds)]
  x, y, width, height = cv2.boundingRect(source[..., 3])
  source = source[y : y + height, x : x + width]
  if rng.random() < 0.5:
    source = cv2.flip(source, 1)
  scale = max(config.height, config.width) * rng.uniform(0.5, 0.95) / max(height, width)
  if scale < 1:
    size = max(1, round(width * scale)), max(1, round(height * scale))
    source, scale = cv2.resize(source, size, interpolation=cv2.INTER_AREA), 1.0
  height, width = source.shape[:2]
  angle = rng.uniform(-10, 10)
  matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
  cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
  box = int(cos * width + sin * height) + 4, int(sin * width + cos * height) + 4
  matrix[:, 2] += (np.array(box) - (width, height)) / 2
  alpha = cv2.warpAffine(np.ascontiguousarray(source[..., 3]), matrix, box)
  corner = place(rng, alpha, config.height, config.width, visible=config.visible)
  if corner is None:
    return None
  # Colour covers the padded canvas, replicated from the border of the cut-out.
  p = config.pad
  matrix[:, 2] += (corner[1] + p, corner[0] + p)
  canvas = config.width + 2 * p, config.height + 2 * p
  colour = np.ascontiguousarray(source[..., :3])
  colour = cv2.warpAffine(colour, matrix, canvas, borderMode=cv2.BORDER_REPLICATE)
  return np.dstack([colour, _on_canvas(config, alpha, corner)])


def _disc(rng, config, free):
  """A disc centred on a random uncovered pixel, used where no other object fits."""
  rows, columns = np.nonzero(free > 127)
  at = rng.integers(len(rows))
  canvas = np.zeros((config.height + 2 * config.pad, config.width + 2 * config.pad), np.uint8)
  radius = 0.18 * min(config.height, config.width)
  centre = int((columns[at] + config.pad) * 16), int((rows[at] + config.pad) * 16)
  return cv2.circle(canvas, centre, int(radius * 16), 255, -1, cv2.LINE_AA, 4)


def _on_canvas(config, alpha, corner):
  """An alpha on the padded canvas, with its top left corner at a row and column of the frame."""
  p = config.pad
  shift = np.float32([[1, 0, corner[1] + p], [0, 1, corner[0] + p]])
  size = config.width + 2 * p, config.height + 2 * p
  return cv2.warpAffine(alpha, shift, size, flags=cv2.INTER_NEAREST)


def _in_frame(config, item):
  """The alpha of an object, without the padding of the canvas."""
  p = config.pad
  alpha = item if item.ndim == 2 else item[..., 3]
  return np.ascontiguousarray(alpha[p : p + config.height, p : p + config.width])


def _fits(config, item, free):
  """Whether an object covers an allowed area, is visible, and leaves enough background."""
  inside = cv2.compare(_in_frame(config, item), 127, cv2.CMP_GT)
  covered = cv2.countNonZero(inside)
  visible = cv2.countNonZero(cv2.bitwise_and(inside, free))
  low, high = np.multiply(config.covers, free.size)
  background = cv2.countNonZero(free) - visible
  enough = visible >= MIN_VISIBLE * covered and background >= MIN_BACKGROUND * free.size
  return low <= covered <= high and enough
