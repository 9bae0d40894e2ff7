"""Maps and windows of a picture upside down, and left to right."""

import cv2
import numpy as np

from depthjax import windows


def flipped(x: np.ndarray, flips: np.ndarray) -> np.ndarray:
  """A map [h w] upside down, and left to right, where `flips` [2] says so."""
  return x[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def flipped_windows(
  parts: np.ndarray, flips: np.ndarray, shape: tuple[int, int], levels: int
) -> list[np.ndarray]:
  """The windows of a flipped picture, of those of the picture, in the order of windows.grid.

  The places of a level are not quite symmetric: a window is moved by what its own place differs.

  Args:
    parts: [n side side], levels 1 to `levels`.
    shape: (h, w) of the picture.
  """
  out, (h, w), side = [], shape, parts.shape[1]
  for level in range(1, levels + 1):
    places = windows.grid(shape, level)
    order = flipped(np.arange(len(places)).reshape(level + 1, level + 1), flips).ravel()
    first = len(out)
    for own, source in zip(places, order, strict=True):
      old = places[source]
      top = h - old.top - old.height if flips[0] else old.top
      left = w - old.left - old.width if flips[1] else old.left
      part = np.ascontiguousarray(flipped(parts[first + source], flips))
      x, y = (own.left - left) * side / own.width, (own.top - top) * side / own.height
      out.append(_moved(part, x, y) if x or y else part)
  return out


def _moved(part, x, y):
  matrix = np.array([[1.0, 0, x], [0, 1, y]])
  flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
  return cv2.warpAffine(
    part, matrix, part.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
  )
