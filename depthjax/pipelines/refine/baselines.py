"""Classical refinement of a consistent disparity by a sharp one: maps [h w 1] of one size."""

import jax
import numpy as np

from depthjax.ops import guided, poisson
from depthjax.pipelines.refine import local_alignment

# For maps of this many pixels on the long side: what served best on drawn scenes.
_SIDE, _RADIUS, _WEIGHT = 256, 8, 1e-2
# A variance that counts as flat, as that of ops.guided.
_FLAT = 1e-4
_guided = jax.jit(guided.guided, static_argnames='radius')
_fuse = jax.jit(poisson.fuse, static_argnames='weight')


def guided_filter(low: np.ndarray, high: np.ndarray) -> np.ndarray:
  """The low map with the edges of `high`, another disparity or a photograph's ops.guided.grey."""
  return np.asarray(_guided(low, high, radius=max(1, round(_RADIUS * _scale(low)))))


def fast_guided_filter(low: np.ndarray, high: np.ndarray) -> np.ndarray:
  """The fast guided filter (He and Sun, 2015), whose lines are found in maps of 96 pixels."""
  return local_alignment.fitted(low, [high], [_FLAT])


def poisson_fusion(low: np.ndarray, high: np.ndarray) -> np.ndarray:
  """The values of the low map with the gradients of the high one."""
  return np.asarray(_fuse(low, high, weight=_WEIGHT / _scale(low) ** 2))


def _scale(x: np.ndarray) -> float:
  return max(x.shape) / _SIDE
