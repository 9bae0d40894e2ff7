"""Least-squares alignment of maps that are known up to scale and offset."""

import jax.numpy as jnp


def fit(x, y, weights=None):
  """Scale a and offset b of each example with the least squared error of a x + b to y.

  Where x is constant the scale is 0 and the offset the mean of y; without any weight both are 0.

  Args:
    x, y: maps [b h w c].
    weights: of the pixels, none negative [b h w c]; what x and y are where 0 does not matter.

  Returns:
    a, b: each [b 1 1 1].
  """
  axes = (-3, -2, -1)
  if weights is None:
    weights = jnp.ones_like(x)
  kept = weights > 0
  x, y = jnp.where(kept, x, 0), jnp.where(kept, y, 0)
  total = jnp.maximum(weights.sum(axes, keepdims=True), 1e-12)
  mean = lambda z: (weights * z).sum(axes, keepdims=True) / total  # noqa: E731
  middle, level = mean(x), mean(y)
  # Centred first: sums of squares would cancel.
  variance, covariance = mean((x - middle) ** 2), mean((x - middle) * (y - level))
  flat = variance <= 1e-12 * (middle**2 + 1e-12)
  scale = jnp.where(flat, 0.0, covariance / jnp.where(flat, 1.0, variance))
  return scale, level - scale * middle


def align(x, y, weights=None):
  """a x + b as `fit` gives them: [b h w c]."""
  scale, offset = fit(x, y, weights)
  return scale * x + offset
