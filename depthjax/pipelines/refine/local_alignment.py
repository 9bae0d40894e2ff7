"""Alignment of a refined map to a consistent one in local windows, in NumPy."""

import functools
from collections.abc import Sequence

import jax
import numpy as np
from scipy import ndimage

from depthjax.ops import guided
from depthjax.pipelines import maps

# Linear coefficients are computed at this long side in pixels, at which predictions of the usual
# resolutions are sharp, in windows of 7 x 7 pixels.
_LONG_SIDE, _RADIUS = 96, 3
# Variances (epsilon of the guided filter) of the guides: the refined map gives the edges, the sharp
# map also relief too small for the former.
_REFINED, _SHARP = 5e-4, 1e-5
# Scale of the refined map in windows where it is flat.
_FLAT_SCALE = 0.25
# Two maps that differ by less are copies in another file format or size.
_SAME = 0.02


@functools.lru_cache(maxsize=16)
def _lines(shape: tuple[int, ...]):
  """guided.lines for a shape; old programs are freed, as a folder may have many aspect ratios."""
  return jax.jit(functools.partial(guided.lines, radius=_RADIUS), static_argnames='epsilon')


def aligned(refined: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
  """Fits a refined map to `low` by a different linear function in each window.

  A sharp map may be inconsistent over large areas, and then the network's mixture is too; one scale
  and offset for the picture cannot correct that. The fit is a fast guided filter (`fitted`) with
  the refined and the sharp map as guides. It overshoots beside edges, so the result is clipped to
  the range of `refined` and `low` in the window. Details missing in `low`, such as a thin stick,
  are mostly lost.

  Args:
    refined: [h w 1] in the units of `low`.
    low, high: in [0, 1], [h' w' 1], sizes may differ.

  Returns:
    float32 [h w 1]; `refined` itself if low and high are the same map, because then there is no
    better map to fit it to.
  """
  if abs(maps.resized(high, low.shape[:2]) - low).max() < _SAME:
    return refined
  shape = refined.shape[:2]
  full = maps.resized(low, shape)
  base = np.float32(_FLAT_SCALE) * refined
  guides = [refined, maps.resized(high, shape)]
  result = base + fitted(full - base, guides, [_REFINED, _SHARP])
  size = 2 * round(_RADIUS / _shrink(shape)) + 1
  pair = refined[..., 0], full[..., 0]
  least = ndimage.minimum_filter(np.minimum(*pair), size, mode='nearest')
  most = ndimage.maximum_filter(np.maximum(*pair), size, mode='nearest')
  return np.clip(result, least[..., None], most[..., None]).astype(np.float32)


def fitted(low: np.ndarray, guides: Sequence[np.ndarray], variances: Sequence[float]) -> np.ndarray:
  """Fast guided filter (ops.guided.lines) of a map with several guides.

  Coefficients are computed on small maps, where a slight blur of `low` is below one pixel and does
  not spread over edges.

  Args:
    low: [h' w' 1], the size may differ from that of the guides.
    guides: each [h w 1], about in [0, 1].
    variances: for each guide, the variance above which the result follows it.

  Returns:
    float32 [h w 1].
  """
  shape = guides[0].shape[:2]
  size = tuple(max(2, round(_shrink(shape) * n)) for n in shape)
  least = min(variances)
  # Guides are scaled so that a single epsilon serves all variances.
  weights = [np.float32((least / variance) ** 0.5) for variance in variances]
  guides = [weight * (x - x.mean()) for weight, x in zip(weights, guides, strict=True)]
  small = np.concatenate([maps.resized(x, size) for x in guides], axis=-1)
  scale, shift = _lines(small.shape)(maps.resized(low, size), small, epsilon=least)
  result = maps.resized(np.asarray(shift), shape)
  for part, guide in zip(np.moveaxis(np.asarray(scale), -1, 0), guides, strict=True):
    result = result + maps.resized(part[..., None], shape) * guide
  return result.astype(np.float32)


def _shrink(shape: tuple[int, int]) -> float:
  return min(1.0, _LONG_SIDE / max(shape))
