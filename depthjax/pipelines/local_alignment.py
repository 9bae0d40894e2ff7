"""Sharp maps brought to the values of a consistent one, place by place, on the host."""

from collections.abc import Sequence

import jax
import numpy as np
from scipy import ndimage

from depthjax.ops import guided
from depthjax.pipelines import maps

# Lines are found at this long side, px, at which predictions of any resolution are sharp, in
# windows of 7 x 7 pixels of it.
_LONG_SIDE, _RADIUS = 96, 3
# From which variance on a window follows the refined map, and the sharp one: edges are taken from
# the former, and from the latter also relief that is too small for the former.
_REFINED, _SHARP = 5e-4, 1e-5
_lines = jax.jit(guided.lines, static_argnames=('radius', 'epsilon'))


def aligned(refined: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
  """Of all that is linear in `refined` and `high` in windows of the picture, the nearest to `low`.

  Where the sharp map is inconsistent over more than edges, so is what a network mixes of both, and
  no scale and offset of the whole picture undoes it. Here each window has its own. Beside edges
  lines overshoot; the result is cut to what `refined` and `low` have in the window.

  Args:
    refined: [h w 1] in the units of `low`.
    low, high: [0, 1], of sizes of their own [h' w' 1].

  Returns:
    float32 [h w 1]; `refined` where both maps are the same, to which the nearest would be itself.
  """
  if np.array_equal(low, high):
    return refined
  shape = refined.shape[:2]
  result = fitted(low, [refined, maps.resized(high, shape)], [_REFINED, _SHARP])
  pair = [refined[..., 0], maps.resized(low, shape)[..., 0]]
  size = 2 * round(_RADIUS / _shrink(shape)) + 1
  least = ndimage.minimum_filter(np.minimum(*pair), size, mode='nearest')
  most = ndimage.maximum_filter(np.maximum(*pair), size, mode='nearest')
  return np.clip(result, least[..., None], most[..., None])


def fitted(low: np.ndarray, guides: Sequence[np.ndarray], variances: Sequence[float]) -> np.ndarray:
  """The fast guided filter (ops.guided.lines) of a map by guides of a larger size.

  As lines are found in small maps, the blur of `low` spreads to no edge of the result.

  Args:
    low: [h' w' 1].
    guides: [h w 1] each.
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
  return result


def _shrink(shape: tuple[int, int]) -> float:
  return min(1.0, _LONG_SIDE / max(shape))
