"""Metrics of predicted disparity and foreground: batches [b h w 1] in, one number an example [b].

A validity mask [b h w 1], where given, names the pixels that count; what stands in the others,
NaN included, does not matter. An example without any has measured nothing: its value is NaN.
"""

import jax
import jax.numpy as jnp

from depthjax.metrics import image

KNOTS = 5
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


def iou(prediction, target, valid=None):
  """Intersection over union [b] of masks [b h w 1] that are over 0.5; 1 where both are empty."""
  kept = jnp.ones(target.shape, bool) if valid is None else valid > 0
  a, b = (prediction > 0.5) & kept, (target > 0.5) & kept
  axes = (1, 2, 3)
  both, either = (a & b).sum(axis=axes), (a | b).sum(axis=axes)
  score = jnp.where(either > 0, both / jnp.maximum(either, 1), 1.0)
  return jnp.where(kept.any(axis=axes), score, jnp.nan)


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
