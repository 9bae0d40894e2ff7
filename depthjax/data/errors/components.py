"""Connected regions between depth edges, in overlapping patches: each gets one affine error.

Square patches that overlap by half form four tilings of the map, each shifted by half a patch along
neither axis, one axis or both. Weights that sum to one blend the tilings without seams.
"""

import functools
from typing import NamedTuple

import cv2
import numpy as np


class Patches(NamedTuple):
  """The four tilings of a map with h * w pixels."""

  shape: tuple[int, int]  # Of a canvas that holds all tilings, with an empty line between patches.
  positions: np.ndarray  # Flat position of each pixel on the canvas, for each tiling [4 h*w].
  weights: np.ndarray  # Blending weights [4 h*w], float32; those of a pixel sum to 1.


@functools.lru_cache(maxsize=64)
def patches(shape: tuple[int, int], size: int) -> Patches:
  """The tilings of a map of `shape` by patches of `size` pixels, an even number."""
  half = size // 2
  (rows, row_weights), (columns, column_weights) = (_axis(length, size) for length in shape)
  canvas = [(length + half) // size * (size + 1) + size + 1 for length in shape]
  positions, weights = [], []
  for down in (0, 1):
    for right in (0, 1):
      row = rows[down] + (2 * down + right) * canvas[0]
      positions.append((row[:, None] * canvas[1] + columns[right]).ravel())
      weights.append((row_weights[down][:, None] * column_weights[right]).ravel())
  result = Patches((4 * canvas[0], canvas[1]), np.stack(positions), np.stack(weights))
  for array in result[1:]:
    array.flags.writeable = False  # Cached.
  return result


def _axis(length, size):
  """Positions and weights [2 length] of the pixels of one axis in its two tilings."""
  at = np.arange(length) + np.array([[0], [size // 2]])
  weights = np.sin(np.pi * (at % size + 0.5) / size) ** 2
  return at + at // size, weights.astype(np.float32)


def label(edges: np.ndarray, tiling: Patches) -> tuple[np.ndarray, int]:
  """Connected components between edges, bool [h w], for each patch separately.

  Returns int32 [4 h*w], component number in each tiling, 0 on edges; and the number of labels.
  """
  canvas = np.zeros(tiling.shape[0] * tiling.shape[1], np.uint8)
  canvas[tiling.positions] = ~edges.ravel()
  count, labels = cv2.connectedComponents(canvas.reshape(tiling.shape), connectivity=4)
  return labels.ravel()[tiling.positions], count


def means(labels: np.ndarray, count: int, values: np.ndarray) -> np.ndarray:
  """Mean of the values [h*w] over each component, [count]; 0 for an empty one."""
  flat = labels.ravel()
  sums = np.bincount(flat, np.broadcast_to(values.ravel(), labels.shape).ravel(), count)
  return sums / np.maximum(np.bincount(flat, minlength=count), 1)


def blend(tiling: Patches, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
  """Blends the values [4 h*w] of the tilings into one map, float32 [h w].

  Pixels on edges, bool [h w], get a Gaussian-weighted mean of nearby pixels.
  """
  blended = np.einsum('tp,tp->p', tiling.weights, values.astype(np.float32, copy=False))
  blended = blended.reshape(edges.shape)
  inside = (~edges).astype(np.float32)
  blended *= inside
  if not edges.any():
    return blended
  near, weight = (cv2.GaussianBlur(x, (9, 9), 1.5) for x in (blended, inside))
  return np.where(edges, near / np.maximum(weight, 1e-3), blended)
