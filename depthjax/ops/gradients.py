"""Gradients of maps."""

import jax.numpy as jnp


def sobel(x):
  """Horizontal and vertical derivative per pixel by Sobel's 3 x 3 filters: [... h w c] twice.

  Beyond the border the edge pixel repeats. A ramp of slope 1 a pixel has the derivative 1.
  """
  border = [(0, 0)] * (x.ndim - 3) + [(1, 1), (1, 1), (0, 0)]
  # Of one pixel the mirror is the edge, whose own derivative would cross between devices.
  x = jnp.pad(x, border, mode='symmetric')
  top, middle, bottom = x[..., :-2, :, :], x[..., 1:-1, :, :], x[..., 2:, :, :]
  down = bottom - top
  smooth = top + 2 * middle + bottom
  dx = (smooth[..., 2:, :] - smooth[..., :-2, :]) / 8
  dy = (down[..., :-2, :] + 2 * down[..., 1:-1, :] + down[..., 2:, :]) / 8
  return dx, dy


def magnitude(x):
  """L1 magnitude of the Sobel derivatives, per pixel: [... h w c]."""
  dx, dy = sobel(x)
  return jnp.abs(dx) + jnp.abs(dy)
