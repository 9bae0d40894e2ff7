"""All metrics of a disparity map refined by a mask: one row of a table."""

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.metrics import depth, masks
from depthjax.ops import alignment


def scores(
  refined: np.ndarray,
  initial: np.ndarray,
  truth: np.ndarray,
  valid: np.ndarray,
  mask: np.ndarray,
  nearer: np.ndarray,
) -> dict[str, float]:
  """Metrics of a refined map, all arrays [h w 1].

  Args:
    refined, initial: disparity of any scale and offset; for 'recall' it is clipped to [0, 1].
    truth: disparity, at least 0.
    valid: mask of pixels whose truth is known.
    mask: that of the refinement.
    nearer: the mask, or its complement if what it shows is farther.

  Returns:
    'mbe_3', 'mbe_5', 'mbe_11', 'improved', 'harmed', 'whdr' and 'recall' as in metrics.masks;
    'rmse' after one scale and offset over all valid pixels.
  """
  arrays = (x[None] for x in (refined, initial, truth, valid, mask, nearer))
  return {name: float(x[0]) for name, x in _scores(*arrays).items()}


@jax.jit
def _scores(refined, initial, truth, valid, mask, nearer):
  counts = masks.r3(initial, refined, truth, valid)
  fitted = alignment.align(refined, truth, valid * 1.0)
  found = {f'mbe_{n}': masks.mbe(refined, truth, mask, valid, side=n) for n in masks.SIDES}
  found |= {'rmse': depth.rmse(fitted, truth, valid)}
  found |= {'improved': counts.improved, 'harmed': counts.harmed}
  found |= {'whdr': masks.whdr(refined, truth, valid)}
  found |= {'recall': masks.recall(jnp.clip(refined, 0, 1), nearer)}
  return {name: jnp.where(x.weight > 0, x.value, jnp.nan) for name, x in found.items()}
