"""The classical renderer (ops.scatter) on a photograph of any size, tile by tile."""

import functools
import itertools
import math

import jax
import numpy as np

from depthjax.ops import colour, scatter
from depthjax.pipelines import tiles

# Result size of a tile in pixels, such that its sums fit into the cache of a CPU.
_CORE = 256


def render(photo: np.ndarray, defocus: np.ndarray, radius: float, core: int = _CORE) -> np.ndarray:
  """Spreads every pixel over its circle of confusion, in linear light.

  Args:
    photo: sRGB, float32 [h w 3]; boosted highlights are above 1.
    defocus: signed blur radius in pixels [h w 1], at most `radius`.
    radius: largest blur radius.
    core: result size of a tile in pixels.

  Returns:
    sRGB float32 [h w 3].
  """
  limit = math.ceil(radius)
  margin = limit + 1
  spread = functools.partial(_spread, limit=limit)
  h, w = photo.shape[:2]
  result = np.empty(photo.shape, np.float32)
  for rows, columns in itertools.product(*(tiles.spans(n, min(core, n), 0, 0) for n in (h, w))):
    # The tile's input, cropped to the frame and padded beyond it with pixels of weight 0.
    outer = [slice(max(s.start - margin, 0), s.stop + margin) for s in (rows, columns)]
    padding = [
      (max(margin - s.start, 0), max(s.stop + margin - n, 0)) for s, n in ((rows, h), (columns, w))
    ]
    padding.append((0, 0))
    part = photo[*outer], defocus[*outer], np.ones((*photo[*outer].shape[:2], 1), np.float32)
    tile = spread(*(np.pad(x, padding) for x in part))
    result[rows.start : rows.stop, columns.start : columns.stop] = tile
  return result


@functools.partial(jax.jit, static_argnames='limit')
def _spread(photo: jax.Array, defocus: jax.Array, inside: jax.Array, limit: int) -> jax.Array:
  light = colour.srgb_to_linear(photo)
  return colour.linear_to_srgb(scatter.scatter_window(light, defocus, inside, limit=limit))
