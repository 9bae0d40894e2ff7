"""All metrics of disparity refined by masks: one row of a table."""

import jax
import jax.numpy as jnp

from depthjax.metrics import depth, masks
from depthjax.ops import alignment


@jax.jit
def scores(refined, record):
  """Metrics [b] of maps [b h w 1], NaN where undefined, by name.

  'mbe_3', 'mbe_5', 'mbe_11', 'improved', 'harmed', 'whdr' and 'recall' are those of metrics.masks;
  'rmse' is that of all pixels after one scale and offset.

  Args:
    refined: disparity; 'recall' clips it to [0, 1].
    record: maps of data.records.masked [b h w 1]. If the side of the mask is the farther one, on
      average, 'recall' is that of the other side.
  """
  matte, mask, target, rest = (record[name] for name in ('matte', 'mask', 'target', 'rest'))
  truth = matte * target + (1 - matte) * rest
  valid = matte * record['target_valid'] + (1 - matte) * record['rest_valid'] > 0.999
  nearer = jnp.where((target - rest).mean((1, 2, 3), keepdims=True) > 0, mask, 1 - mask)
  counts = masks.r3(record['seen'], refined, truth, valid)
  fitted = alignment.align(refined, truth, valid * 1.0)
  found = {f'mbe_{n}': masks.mbe(refined, truth, mask, valid, side=n) for n in masks.SIDES}
  found |= {'rmse': depth.rmse(fitted, truth, valid), 'whdr': masks.whdr(refined, truth, valid)}
  found |= {'improved': counts.improved, 'harmed': counts.harmed}
  found |= {'recall': masks.recall(jnp.clip(refined, 0, 1), nearer)}
  return {name: jnp.where(x.weight > 0, x.value, jnp.nan) for name, x in found.items()}
