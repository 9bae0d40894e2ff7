"""The scale and shift that bring one map to another."""

import jax.numpy as jnp

# A span below this part of the largest value is rounding, not relief.
_FLAT = 1e-6


def line(x, y, weight=None):
  """Scale and shift of maps with the least squared error to others, for each map.

  Args:
    x: maps [... h w c].
    y: what they are brought to [... h w c].
    weight: of each pixel, not negative [... h w 1]; what stands where it is 0 does not matter.

  Returns:
    Scale and shift [... 1 1 1]. A map that is constant has the scale 0 and for shift the mean of y;
    without any weight both are 0.
  """
  axes = (-3, -2, -1)
  weight = jnp.ones_like(x) if weight is None else jnp.broadcast_to(weight, x.shape)
  x, y = jnp.where(weight > 0, x, 0), jnp.where(weight > 0, y, 0)
  total = weight.sum(axis=axes, keepdims=True)

  def mean(values):
    return (weight * values).sum(axis=axes, keepdims=True) / jnp.where(total > 0, total, 1)

  mean_x, mean_y = mean(x), mean(y)
  # Not E[xy] - E[x]E[y], which cancels badly where the mean is far from 0.
  variance, covariance = mean((x - mean_x) ** 2), mean((x - mean_x) * (y - mean_y))
  # Not by the variance: the mean of a constant is rounded.
  low = jnp.where(weight > 0, x, jnp.inf).min(axis=axes, keepdims=True)
  high = jnp.where(weight > 0, x, -jnp.inf).max(axis=axes, keepdims=True)
  flat = high - low <= _FLAT * jnp.maximum(jnp.abs(low), jnp.abs(high))
  scale = jnp.where(flat, 0, covariance / jnp.where(flat, 1, variance))
  return scale, mean_y - scale * mean_x


def aligned(x, y, weight=None):
  """The maps x by `line`: [... h w c], without meaning where the weight is 0."""
  scale, shift = line(x, y, weight)
  return scale * jnp.where(jnp.isfinite(x), x, 0) + shift
