"""Metrics of disparity refined by masks: batches [b h w 1] in, `Weighted` [b] out.

Masks are thresholded at one half; `valid` is a mask of valid pixels, default all. NaN in a pixel of
the prediction that a metric uses makes the value NaN. The definitions of MBE, R3 and WHDR in Kim et
al., "Layered depth refinement with mask guidance" (CVPR 2022) could not be verified: values must
not be compared with those of the paper.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.metrics import boundary, depth, image
from depthjax.metrics.weighted import Weighted
from depthjax.ops import alignment, filters

SIDES = (3, 5, 11)  # Of the square that dilates and erodes the masks of `mbe`.
HARM = 0.05  # Differences of two errors that `r3` counts, in fractions of the range of the truth.
RATIO = 1.03  # Of two true disparities from which their order counts in `whdr`, as in `ordinal`.
FLOOR = 0.1  # Disparity at the farthest pixel in `recall`, whose ratios need values above 0.
FAR = 16  # Distance from the border of a mask in pixels beyond which `change` counts.


class Refinement(NamedTuple):
  """Numbers of pixels that a refinement improves and harms, and their ratio."""

  ratio: Weighted
  improved: Weighted
  harmed: Weighted


def mbe(prediction, target, masks, valid=None, *, side=5):
  """Mask boundary error [b]: RMSE in a band along the border of each mask, mean over the masks.

  The prediction is aligned to the target by one scale and shift over all valid pixels. The error is
  in the unit of the target. Masks whose band has no valid pixel are ignored.

  Args:
    masks: one or several for each example [b h w n].
    side: of the square in pixels, odd and static. The band is the dilated mask without the eroded.
  """
  kept = _valid(target, valid)
  fitted = alignment.align(prediction, target, kept * 1.0)
  bands = (filters.span((masks > 0.5) * 1.0, side) > 0) & kept
  each = jax.vmap(lambda x: depth.rmse(fitted, target, x[..., None]), in_axes=-1)(bands)
  count = each.weight.sum(0)
  total = jnp.where(each.weight > 0, each.value, 0).sum(0)
  return Weighted(total / jnp.maximum(count, 1), (count > 0) * 1.0)


def r3(initial, refined, target, valid=None):
  """Relative refinement ratio: pixels that become better over those that become worse.

  Both predictions are aligned by the scale and shift of the initial one. A pixel counts where its
  absolute error changes by more than 5 % of the range of the target over valid pixels. The ratio is
  1 if none counts, and the number of improved ones if none is harmed. For several examples, divide
  the sums of both counts, since ratios have no bound.
  """
  kept = _valid(target, valid)
  scale, shift = alignment.fit(initial, target, kept * 1.0)
  target = jnp.where(kept, target, 0)
  before, after = (
    jnp.abs(scale * jnp.where(kept, x, 0) + shift - target) for x in (initial, refined)
  )
  axes = (1, 2, 3)
  high = jnp.where(kept, target, -jnp.inf).max(axes, keepdims=True)
  low = jnp.where(kept, target, jnp.inf).min(axes, keepdims=True)
  improved, harmed = (
    jnp.where(kept, _above(x, HARM * (high - low)), 0).sum(axes)
    for x in (before - after, after - before)
  )
  ratio = jnp.maximum(improved, harmed == 0) / jnp.maximum(harmed, 1)
  weight = kept.any(axis=axes) * 1.0
  return Refinement(*(Weighted(x, weight) for x in (ratio, improved, harmed)))


def whdr(prediction, target, valid=None, *, pairs=50_000, seed=0):
  """Weighted human disagreement rate [b], with the order of true disparities instead of humans'.

  The fraction of random pairs, all with weight 1, whose predicted order is wrong or undecided.
  Pairs whose true disparities differ by less than the ratio 1.03 are ignored. Independent of
  increasing changes of the prediction, so it is not aligned.

  The target must be at least 0 where valid. The number of pairs and their seed are static.

  Source: Chen et al., "Single-image depth perception in the wild", NIPS 2016.
  """
  kept = _valid(target, valid)
  maps = (jnp.where(kept, x, 0) for x in (prediction, target))
  flat = [x.reshape(len(x), -1) for x in (*maps, kept)]
  drawn = np.random.default_rng(seed).integers(0, flat[0].shape[1], (2, pairs))
  (x, y, a), (other_x, other_y, b) = ([z[:, at] for z in flat] for at in drawn)
  nearer = y > RATIO * other_y
  decided = (a & b & (nearer | (other_y > RATIO * y)))[..., None, None]
  right = _above(jnp.where(nearer, x - other_x, other_x - x), 0)
  return image.mean(jnp.where(decided, 1 - right[..., None, None], 0), decided * 1.0)


def recall(prediction, mask):
  """Recall [b] of the border of a mask as a depth boundary; no true depth is needed.

  The fraction of 4-neighbours across the border whose inner disparity exceeds the outer by a ratio,
  mean over the ten thresholds of `boundary`, each weighted by its value, without tolerance. An
  empty or full mask has weight 0. Any large step at the border scores 1, even of wrong values.

  Args:
    prediction: disparity in [0, 1], mapped to [0.1, 1].
    mask: of the nearer surface.

  Source: boundary recall by mattes in Bochkovskii et al., "Depth Pro" (ICLR 2025), simplified.
  """
  found, total = 0.0, 0.0
  for axes in ((0, 1, 2, 3), (0, 2, 1, 3)):
    x, inside = (z.transpose(axes) for z in (FLOOR + (1 - FLOOR) * prediction, mask > 0.5))
    edge = (inside[:, 1:] != inside[:, :-1])[..., None]
    ratio = jnp.where(inside[:, 1:], x[:, 1:] / x[:, :-1], x[:, :-1] / x[:, 1:])[..., None]
    steps = jnp.where(edge, _above(ratio, boundary.THRESHOLDS), 0)
    found, total = found + steps.sum((1, 2, 3)), total + edge.sum((1, 2, 3, 4))
  score = found @ (boundary.THRESHOLDS / boundary.THRESHOLDS.sum())
  return Weighted(score / jnp.maximum(total, 1), (total > 0) * 1.0)


def change(initial, refined, mask):
  """Mean absolute change [b] more than 16 pixels from the border of a mask."""
  far = 1 - image.edge_band((mask > 0.5) * 1.0, radius=FAR)
  return image.mae(jnp.where(far > 0, refined, 0), jnp.where(far > 0, initial, 0), far)


def _valid(target, valid):
  """Mask of valid pixels, bool of the shape of the target."""
  return jnp.broadcast_to(True if valid is None else valid > 0, target.shape)


def _above(x, threshold):
  """Whether x exceeds a threshold, 0 or 1; NaN where x is NaN, which a comparison would hide."""
  return jnp.where(jnp.isnan(x), jnp.nan, x > threshold)
