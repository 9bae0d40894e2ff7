"""Predicted disparity scored on transparent and mirror surfaces (ToM), by class of surface."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from depthjax.metrics import booster

_MILLIMETRES = 1000.0  # In a metre: disparity is in 1/m.
_STEP = 4  # The published protocol scores every fourth pixel of a row and column.
_scores = jax.jit(functools.partial(booster.scores, focal_baseline=_MILLIMETRES))


def score(
  record: Mapping[str, Any], prediction: np.ndarray, *, published: bool = False
) -> dict[str, dict[str, float]]:
  """The metrics of metrics.booster, in mm and percent, of the classes 'all', 'tom' and 'other'.

  The prediction is resized to the truth, bilinearly with antialiasing. The published protocol
  instead takes every fourth pixel of the truth and of the mask (OpenCV's nearest neighbour at a
  quarter of the size) and resizes the prediction bilinearly without antialiasing.

  Args:
    record: `disparity` in 1/m, `valid` and `tom`, all [h w 1].
    prediction: disparity of any size, scale and shift [h' w' 1].
    published: as in Costanzino et al. (ICCV 2023), Tables 2 and 3, for records of full size.

  Returns:
    Metrics by class; a class without a valid pixel has none.

  Raises:
    ValueError: no valid pixel has a depth of 1 to 10,000 mm.
  """
  step = _STEP if published else 1
  truth = [record[name][None, ::step, ::step] for name in ('disparity', 'valid', 'tom')]
  size = truth[0].shape[1:]
  resized = jax.image.resize(prediction, size, 'bilinear', antialias=not published)
  found = _scores(resized[None], *truth)
  if not found['mae_all'].weight[0]:
    raise ValueError('no valid pixel of the truth has a depth of 1 to 10,000 mm')
  known = {name: float(x.value[0]) for name, x in found.items() if x.weight[0]}
  return {
    kind: {name: known[f'{name}_{kind}'] for name in booster.METRICS if f'{name}_{kind}' in known}
    for kind in booster.CLASSES
  }
