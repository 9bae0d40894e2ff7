"""Metrics of predicted disparity and foreground: batches [b h w 1] in, one number an example [b].

A validity mask [b h w 1], where given, names the pixels that count; what stands in the others,
NaN included, does not matter. An example without any has measured nothing: its value is NaN.
"""

import jax
import jax.numpy as jnp

from depthjax.metrics import image
from depthjax.ops import alignment

KNOTS = 5
# Ratios to a normalised disparity are taken from here on.
LEAST = 0.05
# Against rounding alone: what a knot's value gives way by, as a part of it.
_RIDGE = 1e-6


def mae_spline(prediction, target, valid=None):
  """Mean absolute error [b] of the prediction mapped by its best spline, unit of the target.

  Source: DeepLens (SIGGRAPH Asia 2018), section 5; Srinivasan et al., "Aperture supervision for
  monocular depth estimation", CVPR 2018.
  """
  if valid is None:
    return image.mae(fit_spline(prediction, target), target)
  kept = valid > 0
  return image.mae(fit_spline(prediction, target, valid), jnp.where(kept, target, 0), kept * 1.0)


def fit_spline(prediction, target, valid=None):
  """The prediction mapped by the 5-knot linear spline with the least squared error to the target.

  The knots are the values at equally spaced ranks of the prediction, 0, 1/4, ... 1, of each
  example; equal ones count once. Nothing keeps the spline from falling: a prediction that is upside
  down comes out right.

  Args:
    prediction: disparity of any range [b h w 1].
    target: true disparity [b h w 1].
    valid: pixels that count [b h w 1]; all without.

  Returns:
    The mapped prediction [b h w 1]; finite, and without meaning where not valid.
  """
  shape = prediction.shape
  kept = jnp.ones(shape, bool) if valid is None else jnp.broadcast_to(valid > 0, shape)
  flat = (x.reshape(shape[0], -1) for x in (prediction, target, kept))
  return jax.vmap(_fit)(*flat).reshape(shape)


def fit_line(prediction, target, valid=None):
  """The prediction mapped by the scale and shift with the least squared error: [b h w 1].

  What refinement papers align by; as `fit_spline` it may turn a prediction upside down.
  """
  return alignment.align(prediction, target, None if valid is None else (valid > 0) * 1.0)


def rmse(prediction, target, valid=None):
  """Root of the mean squared error [b], unit of the target."""
  (x, y), kept = _kept(prediction, target, valid=valid)
  return jnp.sqrt(_mean((x - y) ** 2, kept))


def rel(prediction, target, valid=None, *, least=LEAST):
  """Mean of |error| / target [b] over the pixels whose target is at least `least`.

  A normalised disparity is 0 at the farthest pixel, where no ratio means anything.
  """
  (x, y), kept = _kept(prediction, target, valid=valid)
  return _mean(jnp.abs(x - y) / jnp.maximum(y, least), kept & (y >= least))


def delta1(prediction, target, valid=None, *, least=LEAST):
  """Share [b] of those pixels whose ratio to the target, or its inverse, is below 1.25.

  A prediction at or below 0 is wrong.
  """
  (x, y), kept = _kept(prediction, target, valid=valid)
  right = (x < 1.25 * y) & (y < 1.25 * x)
  return _mean(right * 1.0, kept & (y >= least))


def iou(prediction, target, valid=None):
  """Intersection over union [b] of masks [b h w 1] that are over 0.5; 1 where both are empty."""
  kept = jnp.ones(target.shape, bool) if valid is None else valid > 0
  a, b = (prediction > 0.5) & kept, (target > 0.5) & kept
  axes = (1, 2, 3)
  both, either = (a & b).sum(axis=axes), (a | b).sum(axis=axes)
  score = jnp.where(either > 0, both / jnp.maximum(either, 1), 1.0)
  return jnp.where(kept.any(axis=axes), score, jnp.nan)


def _kept(*maps, valid):
  """The maps with 0 where they do not count, and bool [b h w 1] where they do."""
  kept = jnp.ones(maps[-1].shape, bool) if valid is None else valid > 0
  return [jnp.where(kept, x, 0) for x in maps], kept


def _mean(x, kept):
  """Mean [b] over the pixels that count; NaN where there are none."""
  count = kept.sum(axis=(1, 2, 3))
  mean = jnp.where(kept, x, 0).sum(axis=(1, 2, 3)) / jnp.maximum(count, 1)
  return jnp.where(count > 0, mean, jnp.nan)


def _fit(x, y, kept):
  """`fit_spline` of one example, all [n]."""
  x, y = jnp.where(kept, x, 0), jnp.where(kept, y, 0)
  basis = _hats(x, _knots(x, kept))
  weighted = basis * kept[:, None]
  gram = jnp.matmul(weighted.T, basis, precision='highest')
  moments = jnp.matmul(weighted.T, y, precision='highest')
  # Scaled to a unit diagonal; a knot that was merged with another has no pixel and gets value 0.
  mass = jnp.diagonal(gram)
  scale = jnp.where(mass > 0, jax.lax.rsqrt(jnp.where(mass > 0, mass, 1)), 0)
  gram = gram * scale[:, None] * scale + jnp.diag(jnp.where(mass > 0, _RIDGE, 1))
  values = scale * jnp.linalg.solve(gram, scale * moments)
  return jnp.matmul(basis, values, precision='highest')


def _knots(x, kept):
  """Values [5] at equally spaced ranks of those of x [n] that count, in rising order."""
  count = kept.sum()
  ordered = jnp.sort(jnp.where(kept, x, jnp.inf))
  ranks = (jnp.maximum(count - 1, 0) * jnp.arange(KNOTS)) // (KNOTS - 1)
  return jnp.where(count > 0, ordered[ranks], 0)


def _hats(x, knots):
  """Linear hat functions [n 5] of the knots at x [n]; those of equal knots are in the first."""
  interval = (x[:, None] >= knots[1:-1]).sum(axis=1)
  start, length = knots[interval], jnp.diff(knots)[interval]
  place = jnp.where(length > 0, (x - start) / jnp.where(length > 0, length, 1), 0)
  # Pixels that do not count may lie beyond the last knots.
  place = jnp.clip(place, 0, 1)[:, None]
  first = jnp.argmax(knots[:, None] == knots, axis=1)
  left, right = (jax.nn.one_hot(first[interval + i], KNOTS) for i in (0, 1))
  return (1 - place) * left + place * right
