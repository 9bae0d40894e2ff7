"""Metrics of predicted disparity and foreground: batches [b h w 1] in, `Weighted` [b] out.

All take an optional mask of valid pixels [b h w 1]. Other pixels may hold any value, NaN included.
An example without a valid pixel has weight 0. NaN in a valid pixel of the prediction makes the
value NaN.
"""

import jax
import jax.numpy as jnp

from depthjax.metrics import image
from depthjax.metrics.weighted import Weighted

KNOTS = 5
LEAST = 0.05  # `rel` and `delta1` ignore pixels whose normalised disparity is below this.
_RIDGE = 1e-6  # Relative ridge regularisation, against rounding errors only.


def mae_spline(prediction, target, valid=None):
  """Mean absolute error [b] after `fit_spline`, in the unit of the target.

  Source: DeepLens (SIGGRAPH Asia 2018), section 5; Srinivasan et al., "Aperture supervision for
  monocular depth estimation", CVPR 2018.
  """
  (x, y), kept = _kept(prediction, target, valid=valid)
  return _with_nan(image.mae(fit_spline(x, y, kept), y, kept * 1.0), x)


def fit_spline(prediction, target, valid=None):
  """Maps the prediction by the linear spline of 5 knots with the least squared error to the target.

  The knots of each example are the quantiles 0, 1/4, ..., 1 of the prediction; equal knots are
  merged. The spline may decrease, so inverted polarity is corrected.

  The prediction is disparity of any range; the result [b h w 1] is finite, and arbitrary where not
  valid.
  """
  shape = prediction.shape
  kept = jnp.ones(shape, bool) if valid is None else jnp.broadcast_to(valid > 0, shape)
  flat = (x.reshape(shape[0], -1) for x in (prediction, target, kept))
  return jax.vmap(_fit)(*flat).reshape(shape)


def rmse(prediction, target, valid=None):
  """Root mean squared error [b], in the unit of the target."""
  (x, y), kept = _kept(prediction, target, valid=valid)
  squared = image.mean((x - y) ** 2, kept * 1.0)
  return squared._replace(value=jnp.sqrt(squared.value))


def rel(prediction, target, valid=None):
  """Mean of |error| / target [b] over the pixels whose target is at least 0.05.

  A normalised disparity is 0 at the farthest pixel, where ratios are meaningless.
  """
  (x, y), kept = _kept(prediction, target, valid=valid)
  return image.mean(jnp.abs(x - y) / jnp.maximum(y, LEAST), (kept & (y >= LEAST)) * 1.0)


def delta1(prediction, target, valid=None):
  """Fraction [b] of these pixels whose ratio to the target, or its inverse, is below 1.25.

  Predictions at or below 0 count as wrong.
  """
  (x, y), kept = _kept(prediction, target, valid=valid)
  right = (x < 1.25 * y) & (y < 1.25 * x)
  return _with_nan(image.mean(right * 1.0, (kept & (y >= LEAST)) * 1.0), x)


def iou(prediction, target, valid=None):
  """Intersection over union [b] of masks [b h w 1], thresholded at 0.5; 1 if both are empty."""
  maps, kept = _kept(prediction, target, valid=valid)
  a, b = (x > 0.5 for x in maps)
  axes = (1, 2, 3)
  both, either = (a & b).sum(axis=axes), (a | b).sum(axis=axes)
  score = jnp.where(either > 0, both / jnp.maximum(either, 1), 1.0)
  return _with_nan(Weighted(score, kept.any(axis=axes) * 1.0), maps[0])


def _kept(*maps, valid):
  """The maps with invalid pixels set to 0, and the mask of valid pixels, bool [b h w 1]."""
  kept = jnp.ones(maps[-1].shape, bool) if valid is None else valid > 0
  return [jnp.where(kept, x, 0) for x in maps], kept


def _with_nan(score, x):
  """The score with NaN where the map x [b h w 1] has NaN, which comparisons and sorting hide."""
  return score._replace(value=jnp.where(jnp.isnan(x).any(axis=(1, 2, 3)), jnp.nan, score.value))


def _fit(x, y, kept):
  """`fit_spline` of one example, all arrays [n]."""
  x, y = jnp.where(kept, x, 0), jnp.where(kept, y, 0)
  basis = _hats(x, _knots(x, kept))
  weighted = basis * kept[:, None]
  gram = jnp.matmul(weighted.T, basis, precision='highest')
  moments = jnp.matmul(weighted.T, y, precision='highest')
  # Scaled to a unit diagonal. A merged knot has no pixels and gets value 0.
  mass = jnp.diagonal(gram)
  scale = jnp.where(mass > 0, jax.lax.rsqrt(jnp.where(mass > 0, mass, 1)), 0)
  gram = gram * scale[:, None] * scale + jnp.diag(jnp.where(mass > 0, _RIDGE, 1))
  values = scale * jnp.linalg.solve(gram, scale * moments)
  return jnp.matmul(basis, values, precision='highest')


def _knots(x, kept):
  """Values [5] at equally spaced ranks of the valid values of x [n], in increasing order."""
  count = kept.sum()
  ordered = jnp.sort(jnp.where(kept, x, jnp.inf))
  ranks = (jnp.maximum(count - 1, 0) * jnp.arange(KNOTS)) // (KNOTS - 1)
  return jnp.where(count > 0, ordered[ranks], 0)


def _hats(x, knots):
  """Linear hat functions [n 5] of the knots at x [n]; of equal knots only the first is used."""
  interval = (x[:, None] >= knots[1:-1]).sum(axis=1)
  start, length = knots[interval], jnp.diff(knots)[interval]
  position = jnp.where(length > 0, (x - start) / jnp.where(length > 0, length, 1), 0)
  # Invalid pixels may lie outside the range of the knots.
  position = jnp.clip(position, 0, 1)[:, None]
  first = jnp.argmax(knots[:, None] == knots, axis=1)
  left, right = (jax.nn.one_hot(first[interval + i], KNOTS) for i in (0, 1))
  return (1 - position) * left + position * right
