"""Least-squares alignment of maps that are known up to scale and shift."""

import jax.numpy as jnp

# Maps whose range is below this fraction of their largest value count as constant.
_FLAT = 1e-6


def fit(x, y, weights=None):
  """Scale a and shift b of each example that minimise the squared error of a x + b to y.

  If x is constant, the scale is 0 and the shift the mean of y. If all weights are 0, both are 0.

  x and y are maps [... h w c]; a and b are [... 1 1 1]. Weights [... h w 1] are non-negative;
  default 1. Pixels of weight 0 may hold any value, NaN included.
  """
  axes = (-3, -2, -1)
  weights = jnp.ones_like(x) if weights is None else jnp.broadcast_to(weights, x.shape)
  kept = weights > 0
  x, y = jnp.where(kept, x, 0), jnp.where(kept, y, 0)
  total = jnp.maximum(weights.sum(axes, keepdims=True), 1e-12)
  mean = lambda z: (weights * z).sum(axes, keepdims=True) / total  # noqa: E731
  middle, level = mean(x), mean(y)
  # Centred before squaring: the difference of two large sums would lose precision.
  variance, covariance = mean((x - middle) ** 2), mean((x - middle) * (y - level))
  # Decided by the range: rounding of the mean gives even a constant map a variance above 0.
  low = jnp.where(kept, x, jnp.inf).min(axes, keepdims=True)
  high = jnp.where(kept, x, -jnp.inf).max(axes, keepdims=True)
  flat = high - low <= _FLAT * jnp.maximum(jnp.abs(low), jnp.abs(high))
  scale = jnp.where(flat, 0.0, covariance / jnp.where(flat, 1.0, variance))
  return scale, level - scale * middle


def align(x, y, weights=None):
  """a x + b by `fit`: [... h w c], finite but arbitrary where the weight is 0."""
  scale, offset = fit(x, y, weights)
  return scale * jnp.where(jnp.isfinite(x), x, 0) + offset
