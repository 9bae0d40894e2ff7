"""Sharp maps fitted to a consistent one in windows of the picture, on the host."""

from collections.abc import Sequence

import jax
import numpy as np
from scipy import ndimage

from depthjax.ops import guided
from depthjax.pipelines import maps

# Lines are found at this long side, px, at which predictions of usual resolutions are sharp, in
# windows of 7 x 7 pixels of it.
_LONG_SIDE, _RADIUS = 96, 3
# From which variance on a window follows the refined map, and the sharp one: edges are taken from
# the former, and from the latter also relief that is too small for the former.
_REFINED, _SHARP = 5e-4, 1e-5
# The scale of the refined map in windows that have nothing to find it by.
_KEPT = 0.25
# Copies of a map, in other files and sizes, differ by less.
_SAME = 0.02
_lines = jax.jit(guided.lines, static_argnames=('radius', 'epsilon'))


def aligned(refined: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
  """A refined map fitted to `low` by lines in itself and in `high`, others in each window.

  Where the sharp map is inconsistent over more than edges, so is what a network mixes of both, and
  no scale and offset of the whole picture undoes it. The fit is the fast guided filter (`fitted`)
  of what `low` differs by. Beside edges lines overshoot: the result is cut to what `refined` and
  `low` have in the window. What `low` lacks, such as a stick that it missed, is mostly lost.

  Args:
    refined: [h w 1] in the units of `low`.
    low, high: [0, 1], of sizes of their own [h' w' 1].

  Returns:
    float32 [h w 1]; of two maps that are one but for size and rounding, `refined`: there is
    nothing that it could be fitted to but its own input.
  """
  if abs(maps.resized(high, low.shape[:2]) - low).max() < _SAME:
    return refined
  shape = refined.shape[:2]
  full = maps.resized(low, shape)
  kept = np.float32(_KEPT) * refined
  guides = [refined, maps.resized(high, shape)]
  result = kept + fitted(full - kept, guides, [_REFINED, _SHARP])
  size = 2 * round(_RADIUS / _shrink(shape)) + 1
  pair = refined[..., 0], full[..., 0]
  least = ndimage.minimum_filter(np.minimum(*pair), size, mode='nearest')
  most = ndimage.maximum_filter(np.maximum(*pair), size, mode='nearest')
  return np.clip(result, least[..., None], most[..., None]).astype(np.float32)


def fitted(low: np.ndarray, guides: Sequence[np.ndarray], variances: Sequence[float]) -> np.ndarray:
  """The fast guided filter (ops.guided.lines) of a map by guides.

  Lines are found in small maps: a blur of `low` that is less than a pixel there spreads to no edge.

  Args:
    low: of a size of its own [h' w' 1].
    guides: [h w 1] each, in [0, 1] or so.
    variances: of each guide, the one from which on a window follows it.

  Returns:
    float32 [h w 1].
  """
  shape = guides[0].shape[:2]
  size = tuple(max(2, round(_shrink(shape) * n)) for n in shape)
  least = min(variances)
  # All variances count in the unit of the least.
  weights = [np.float32((least / variance) ** 0.5) for variance in variances]
  guides = [weight * (x - x.mean()) for weight, x in zip(weights, guides, strict=True)]
  small = np.concatenate([maps.resized(x, size) for x in guides], axis=-1)
  scale, shift = _lines(maps.resized(low, size), small, radius=_RADIUS, epsilon=least)
  result = maps.resized(np.asarray(shift), shape)
  for part, guide in zip(np.moveaxis(np.asarray(scale), -1, 0), guides, strict=True):
    result = result + maps.resized(part[..., None], shape) * guide
  return result.astype(np.float32)


def _shrink(shape: tuple[int, int]) -> float:
  return min(1.0, _LONG_SIDE / max(shape))
