"""Least-squares alignment of maps that are known up to scale and offset."""

import jax.numpy as jnp

# A span below this part of the largest value is rounding, not relief.
_FLAT = 1e-6


def fit(x, y, weights=None):
  """Scale a and offset b of each example with the least squared error of a x + b to y.

  Where x is constant the scale is 0 and the offset the mean of y; without any weight both are 0.

  Args:
    x, y: maps [... h w c].
    weights: of the pixels, none negative [... h w 1]; what x and y are where 0 does not matter.

  Returns:
    a, b: each [... 1 1 1].
  """
  axes = (-3, -2, -1)
  weights = jnp.ones_like(x) if weights is None else jnp.broadcast_to(weights, x.shape)
  kept = weights > 0
  x, y = jnp.where(kept, x, 0), jnp.where(kept, y, 0)
  total = jnp.maximum(weights.sum(axes, keepdims=True), 1e-12)
  mean = lambda z: (weights * z).sum(axes, keepdims=True) / total  # noqa: E731
  middle, level = mean(x), mean(y)
  # Centred first: sums of squares would cancel.
  variance, covariance = mean((x - middle) ** 2), mean((x - middle) * (y - level))
  # Not by the variance: the mean of a constant is rounded too.
  low = jnp.where(kept, x, jnp.inf).min(axes, keepdims=True)
  high = jnp.where(kept, x, -jnp.inf).max(axes, keepdims=True)
  flat = high - low <= _FLAT * jnp.maximum(jnp.abs(low), jnp.abs(high))
  scale = jnp.where(flat, 0.0, covariance / jnp.where(flat, 1.0, variance))
  return scale, level - scale * middle


def align(x, y, weights=None):
  """a x + b as `fit` gives them: [... h w c], without meaning where the weight is 0."""
  scale, offset = fit(x, y, weights)
  return scale * jnp.where(jnp.isfinite(x), x, 0) + offset
