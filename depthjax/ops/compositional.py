"""The compositional renderer: a differentiable lens blur made of a few blurred copies."""

import jax.numpy as jnp
import numpy as np
from jax import lax


def composite_blur(image, disparity, *, focus, strength, limit, levels=9):
  """Blurs an image by its disparity: layers of disparity, each blurred whole, far to near.

  Every pixel belongs to the two levels next to its disparity, in shares that are linear in it; so
  the result has a gradient in the disparity everywhere, and a depth net can be trained through it
  (aperture supervision). Discs at discrete depths, blended: light leaks at depth edges.

  Args:
    image: linear light [h w 3].
    disparity: [h w 1], clipped to [0, 1].
    focus: disparity in focus; may be traced, as `strength`.
    strength: blur radius in pixels per unit of disparity.
    limit: largest radius in pixels, a static integer.
    levels: how many layers, at least 2.

  Returns:
    Image [h w 3] in linear light.

  Source: Srinivasan et al., "Aperture supervision for monocular depth estimation", CVPR 2018,
  section 4.2.

  Raises:
    ValueError: fewer than two levels.
  """
  if levels < 2:
    raise ValueError(f'levels is {levels}; it must be at least 2')
  place = jnp.clip(disparity, 0, 1) * (levels - 1)

  def add(under, level):
    share = jnp.clip(1 - jnp.abs(place - level), 0, 1)
    radius = jnp.minimum(strength * jnp.abs(level / (levels - 1) - focus), limit)
    blurred = _blurred(jnp.concatenate([image * share, share], axis=-1), radius, limit)
    light, cover = blurred[..., :3], blurred[..., 3:]
    over, seen = under
    return (light + (1 - cover) * over, cover + (1 - cover) * seen), None

  start = jnp.zeros_like(image), jnp.zeros_like(disparity)
  (light, seen), _ = lax.scan(add, start, jnp.arange(levels, dtype=jnp.float32))
  # A level covers but its share, so what is seen through all of them is black: take it out.
  return light / jnp.maximum(seen, 1e-4)


def disc(radius, limit):
  """A disc of a traced radius, soft over one pixel at the rim: [2l+1 2l+1], sum 1."""
  rows, columns = np.mgrid[-limit : limit + 1, -limit : limit + 1]
  weight = jnp.clip(radius + 0.5 - np.hypot(rows, columns).astype(np.float32), 0, 1)
  return weight / weight.sum()


def _blurred(x, radius, limit):
  """Every channel of [h w c] with the same disc, over a border that repeats the outermost pixel."""
  channels = x.shape[-1]
  x = jnp.pad(x, ((limit, limit), (limit, limit), (0, 0)), mode='edge')
  # One picture a channel: a grouped convolution is slow on CPU and its gradient slower.
  planes = jnp.moveaxis(x, -1, 0)[..., None]
  kernel = disc(radius, limit)[..., None, None]
  y = lax.conv_general_dilated(
    planes, kernel, (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )
  return jnp.moveaxis(y[..., 0], 0, -1).reshape(*y.shape[1:3], channels)
