"""Connected regions between depth edges, patch by patch: where a predictor is wrong as one.

The patches have equal sides and overlap by half. They are four tilings of the map, each shifted by
half a patch along no axis, one or both; weights that sum to one blend them without a seam.
"""

import functools
from typing import NamedTuple

import cv2
import numpy as np


class Patches(NamedTuple):
  """The four tilings of a map of h * w pixels.

  Attributes:
    shape: of a canvas that holds all tilings, with an empty line between any two patches.
    places: int64 [4 h*w], where on the canvas each tiling has each pixel.
    weights: float32 [4 h*w], those of each pixel sum to 1.
  """

  shape: tuple[int, int]
  places: np.ndarray
  weights: np.ndarray


@functools.lru_cache(maxsize=64)
def patches(shape: tuple[int, int], side: int) -> Patches:
  """The patches of `side` pixels, an even number, of a map of `shape`."""
  half = side // 2
  lines = [_axis(size, side) for size in shape]
  canvas = [(size + half) // side * (side + 1) + side + 1 for size in shape]
  (rows, tall), (columns, wide) = lines
  places, weights = [], []
  for down in (0, 1):
    for right in (0, 1):
      tiling = 2 * down + right
      row = rows[down] + tiling * canvas[0]
      places.append((row[:, None] * canvas[1] + columns[right]).ravel())
      weights.append((tall[down][:, None] * wide[right]).ravel())
  result = Patches((4 * canvas[0], canvas[1]), np.stack(places), np.stack(weights))
  for array in result[1:]:
    array.flags.writeable = False  # They are shared by all who ask for them.
  return result


def _axis(size, side):
  """Places and weights [2 size] of the pixels of an axis in its two tilings."""
  at = np.arange(size) + np.array([[0], [side // 2]])
  weights = np.sin(np.pi * (at % side + 0.5) / side) ** 2
  return at + at // side, weights.astype(np.float32)


def label(edges: np.ndarray, tiling: Patches) -> tuple[np.ndarray, int]:
  """Components of a map between its edges, in each patch by itself.

  Args:
    edges: bool [h w].

  Returns:
    int32 [4 h*w], a component's number in each tiling, 0 on edges; and one more than the largest.
  """
  canvas = np.zeros(tiling.shape[0] * tiling.shape[1], np.uint8)
  canvas[tiling.places] = ~edges.ravel()
  count, labels = cv2.connectedComponents(
    canvas.reshape(tiling.shape), connectivity=4, ltype=cv2.CV_32S
  )
  return labels.ravel()[tiling.places], count


def means(labels: np.ndarray, count: int, values: np.ndarray) -> np.ndarray:
  """Mean of the values [h*w] over each component, [count]; 0 of one without pixels."""
  flat = labels.ravel()
  sums = np.bincount(flat, np.broadcast_to(values.ravel(), labels.shape).ravel(), count)
  return sums / np.maximum(np.bincount(flat, minlength=count), 1)


def blend(tiling: Patches, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
  """One map of the values [4 h*w] of the tilings: float32 [h w].

  Edges belong to no component. There the map goes on from both sides.

  Args:
    edges: bool [h w].
  """
  blended = np.einsum('tp,tp->p', tiling.weights, values.astype(np.float32, copy=False))
  blended = blended.reshape(edges.shape)
  inside = (~edges).astype(np.float32)
  blended *= inside
  if not edges.any():
    return blended
  near, share = (cv2.GaussianBlur(x, (9, 9), 1.5) for x in (blended, inside))
  return np.where(edges, near / np.maximum(share, 1e-3), blended)
