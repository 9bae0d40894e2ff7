"""Filters over square windows."""

import jax
import jax.numpy as jnp


def bilateral(x, *, sigma, sigma_range, radius=None):
  """Bilateral filter: window means with Gaussian weights of distance and of difference in value.

  Args:
    x: maps [b h w c].
    sigma: std of the distance in pixels.
    sigma_range: std of the difference in value [b 1 1 1], above 0.
    radius: radius of the square window in pixels; default 2 sigma.

  Source: Tomasi and Manduchi, ICCV 1998.
  """
  radius = max(1, round(2 * sigma)) if radius is None else radius
  side = 2 * radius + 1
  padded = jnp.pad(x, ((0, 0), (radius, radius), (radius, radius), (0, 0)), mode='edge')

  def body(number, sums):
    dy, dx = number // side, number % side
    other = jax.lax.dynamic_slice(padded, (0, dy, dx, 0), x.shape)
    distance = ((dy - radius) ** 2 + (dx - radius) ** 2) / (2 * sigma**2)
    weight = jnp.exp(-distance - (other - x) ** 2 / (2 * sigma_range**2))
    return sums[0] + weight * other, sums[1] + weight

  total, weights = jax.lax.fori_loop(0, side * side, body, (jnp.zeros_like(x), jnp.zeros_like(x)))
  return total / weights


def span(x, side):
  """Maximum minus minimum in windows of `side` x `side` pixels, odd, within the map: [b h w c]."""
  window, strides = (1, side, side, 1), (1, 1, 1, 1)
  largest = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, 'SAME')
  return largest - jax.lax.reduce_window(x, jnp.inf, jax.lax.min, window, strides, 'SAME')
