"""Classical refinement of a low map by a high one, both [h w 1] and of the same size."""

import jax
import numpy as np

from depthjax.ops import guided, poisson

# Parameters for a long side of 256 pixels, tuned on drawn scenes.
_LONG_SIDE, _RADIUS, _WEIGHT = 256, 8, 1e-2
_guided = jax.jit(guided.guided, static_argnames='radius')
_fuse = jax.jit(poisson.fuse, static_argnames='weight')


def guided_filter(low: np.ndarray, high: np.ndarray) -> np.ndarray:
  """Guided filter (He et al., 2010) of `low`; the guide is a disparity or ops.guided.grey."""
  return np.asarray(_guided(low, high, radius=max(1, round(_RADIUS * _scale(low)))))


def poisson_fusion(low: np.ndarray, high: np.ndarray) -> np.ndarray:
  """Poisson fusion: values of the low map, gradients of the high map."""
  return np.asarray(_fuse(low, high, weight=_WEIGHT / _scale(low) ** 2))


def _scale(x: np.ndarray) -> float:
  return max(x.shape) / _LONG_SIDE
