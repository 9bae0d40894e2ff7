"""Losses between images: [b h w c], [b h w c] -> [b]."""

import jax
import jax.numpy as jnp


def l1(prediction: jax.Array, target: jax.Array) -> jax.Array:
  """Mean absolute difference of each example [b]."""
  return jnp.abs(prediction - target).mean(axis=(1, 2, 3))


def normalised(
  prediction: jax.Array,
  target: jax.Array,
  *,
  alpha: float = 1.5,
  differentiate_weights: bool = False,
) -> jax.Array:
  """Absolute differences averaged by their own size to the power alpha, each example [b].

  Large errors, at the depth edges, speak louder than the many small ones: sum e^(alpha+1) over
  sum e^alpha with e = |prediction - target| (DeepLens, eq. 4 and 5; alpha = 1.5). The value is
  the mean error where all errors are equal, and never below it otherwise.

  The weights are constants unless `differentiate_weights`: differentiated as the ratio is written,
  every error below alpha / (alpha + 1) of the loss has a *negative* gradient, so that training
  makes pixels that are nearly right worse.
  """
  error = jnp.abs(prediction - target)
  weights = _power(error, alpha)
  if not differentiate_weights:
    weights = jax.lax.stop_gradient(weights)
  axes = (1, 2, 3)
  return (weights * error).sum(axis=axes) / (weights.sum(axis=axes) + 1e-8)


def _power(x: jax.Array, exponent: float) -> jax.Array:
  """x to the power, with derivative 0 at 0, where jnp.power's is NaN or infinite for some."""
  positive = x > 0
  return jnp.where(positive, jnp.power(jnp.where(positive, x, 1.0), exponent), 0.0)
