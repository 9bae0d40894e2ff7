"""The protocol of the published tables of SDDR, quirks and all: for comparing with them alone.

The true depth is stored in 8 bits, so that chess pieces a step apart are at one depth; a negative
aligned depth counts as right, its ratio being below any threshold; pictures whose number came out
as NaN, or not above 0, are left out of the mean. metrics.aligned is the honest measure.

Source: the evaluation script for Middlebury 2021 that was released with SDDR (NeurIPS 2024).
"""

from collections.abc import Sequence

import numpy as np

from depthjax.metrics import aligned
from depthjax.metrics.aligned import Convention, Scores


def stored_depth(
  disparity: np.ndarray, *, pfm_scale: float, focal: float, baseline: float, doffs: float = 0.0
) -> np.ndarray:
  """The true depth as their script has it: uint8 [h w], 0 where unknown.

  The scale in the header of a PFM file, of which only the sign means something, divides the
  disparity, and the result loses its fraction; beyond 255 it starts again at 0. With the usual
  scale, 1/255, it is in units of 255 mm for a baseline in mm.

  Args:
    disparity: of the file, its first row the top one, px; infinite where unknown [h w].
    pfm_scale: of the header; its sign does not count.
    focal: px.
    baseline: unit of the depth.
    doffs: difference of the principal points' columns, px.

  Raises:
    ValueError: NaN, a scale of 0.
  """
  disparity = np.asarray(disparity, np.float64)
  if np.isnan(disparity).any() or not pfm_scale:
    raise ValueError('the disparity must not hold NaN, nor the scale be 0')
  with np.errstate(divide='ignore'):
    depth = focal * baseline / (disparity / abs(pfm_scale) + doffs)
  if np.isinf(depth).any():
    raise ValueError('the disparity and doffs add up to 0 somewhere: no depth')
  return (np.trunc(depth).astype(np.int64) % 256).astype(np.uint8)


def stored_prediction(values: np.ndarray) -> np.ndarray:
  """A map as their demo writes it: uint16 [h w], its range brought to 0 to 65535, truncated."""
  values = np.asarray(values, np.float64)
  if not np.isfinite(values).all() or np.ptp(values) == 0:
    raise ValueError('the prediction must be finite and not constant')
  return ((values - values.min()) / np.ptp(values) * 65535).astype(np.uint16)


def errors(
  prediction: np.ndarray, truth: np.ndarray, *, convention: Convention = 'depth'
) -> Scores:
  """The numbers of one picture, any of which may be NaN.

  Args:
    prediction: as stored [h' w'], brought to the size of the truth bilinearly.
    truth: `stored_depth` [h w]; 0 is unknown.
    convention: what the prediction is. Disparity is fitted to the inverse depth, its negative
      values become 0, and their depth is infinite; depth is fitted as it is and may be negative.

  Returns:
    As aligned.errors.

  Raises:
    ValueError: another convention, NaN in the prediction, no known pixel.
  """
  if convention not in ('disparity', 'depth'):
    raise ValueError(f"the convention is {convention!r}; it can be 'disparity' or 'depth'")
  values = aligned.resized(prediction, truth.shape)
  valid = truth > 0
  if not valid.any() or not np.isfinite(values).all():
    raise ValueError('the truth needs known pixels and the prediction finite values')
  p, g = values[valid], truth[valid].astype(np.float64)
  with np.errstate(divide='ignore', invalid='ignore'):
    if convention == 'disparity':
      scale, shift = np.polyfit(p, 1 / g, 1)
      p = 1 / np.maximum(scale * p + shift, 0)
    else:
      scale, shift = np.polyfit(p, g, 1)
      p = scale * p + shift
    ratio, error = np.maximum(g / p, p / g), g - p
    return {f'delta{i}': float(np.mean(ratio < 1.25**i)) for i in (1, 2, 3)} | {
      'rel': float(np.mean(abs(error) / g)),
      'sqrel': float(np.mean(error**2 / g)),
      'rmse': float(np.sqrt(np.mean(error**2))),
      'log10': float(np.mean(abs(np.log10(g) - np.log10(p)))),
    }


def mean(rows: Sequence[Scores]) -> Scores:
  """The mean of each number over the pictures where it is above 0; NaN where it never is."""
  table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
  return {
    name: float(values[values > 0].mean()) if (values > 0).any() else float('nan')
    for name, values in table.items()
  }


def truth_name(index: int) -> str:
  """Which disparity of its scene a prediction is scored against, by its place in the sorted list.

  The script takes the left view's for the even and the right view's for the odd ones: all views
  must be in the list, left before right.
  """
  return 'disp1' if index % 2 else 'disp0'
