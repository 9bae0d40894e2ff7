"""Losses between images: [b h w c], [b h w c] -> [b]."""

import jax
import jax.numpy as jnp


def l1(prediction: jax.Array, target: jax.Array) -> jax.Array:
  """Mean absolute difference of each example [b]."""
  return jnp.abs(prediction - target).mean(axis=(1, 2, 3))


def error_weighted(
  prediction: jax.Array,
  target: jax.Array,
  *,
  alpha: float = 1.5,
  differentiate_weights: bool = False,
) -> jax.Array:
  """Mean absolute error of each example [b], weighted by the error to the power alpha.

  sum e^(alpha+1) / sum e^alpha with e = |prediction - target| (DeepLens, eq. 4 and 5; alpha = 1.5),
  so that large errors at depth edges outweigh many small ones. At least the mean error.

  The weights have no derivative unless `differentiate_weights`. With it, every error below
  alpha / (alpha + 1) of the loss has a *negative* gradient, so training increases small errors.
  """
  error = jnp.abs(prediction - target)
  weights = _power(error, alpha)
  if not differentiate_weights:
    weights = jax.lax.stop_gradient(weights)
  axes = (1, 2, 3)
  return (weights * error).sum(axis=axes) / (weights.sum(axis=axes) + 1e-8)


def _power(x: jax.Array, exponent: float) -> jax.Array:
  """Power with derivative 0 at 0, where that of jnp.power can be NaN or infinite."""
  positive = x > 0
  return jnp.where(positive, jnp.power(jnp.where(positive, x, 1.0), exponent), 0.0)
