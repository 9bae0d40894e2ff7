"""Vertical and horizontal flips of maps and of windows."""

import cv2
import numpy as np

from depthjax import windows

_WARP = {'flags': cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, 'borderMode': cv2.BORDER_REPLICATE}


def flipped(x: np.ndarray, flips: np.ndarray) -> np.ndarray:
  """A map [h w] with the axes flipped for which `flips` [2] is true."""
  return x[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def flipped_windows(
  parts: np.ndarray, flips: np.ndarray, shape: tuple[int, int], levels: int
) -> list[np.ndarray]:
  """The windows of a flipped image, in the order of windows.grid.

  `parts` [n side side] are the windows of the image of `shape` (h, w), levels 1 to `levels`. Those
  of a level are not exactly symmetric, so some are shifted by the difference.
  """
  out, (h, w), side = [], shape, parts.shape[1]
  for level in range(1, levels + 1):
    grid = windows.grid(shape, level)
    order = flipped(np.arange(len(grid)).reshape(level + 1, level + 1), flips).ravel()
    first = len(out)
    for new, source in zip(grid, order, strict=True):
      old = grid[source]
      top = h - old.top - old.height if flips[0] else old.top
      left = w - old.left - old.width if flips[1] else old.left
      part = np.ascontiguousarray(flipped(parts[first + source], flips))
      x, y = (new.left - left) * side / new.width, (new.top - top) * side / new.height
      if x or y:
        matrix = np.array([[1.0, 0, x], [0, 1, y]])
        part = cv2.warpAffine(part, matrix, (side, side), **_WARP)
      out.append(part)
  return out
