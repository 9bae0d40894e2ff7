"""The compositional renderer: a differentiable lens blur composed of a few blurred layers."""

import jax.numpy as jnp
import numpy as np
from jax import lax


def composite_blur(image, disparity, *, focus, strength, limit, levels=9):
  """Blurs an image by its disparity: layers of disparity are blurred and composited far to near.

  Each pixel is divided between the two levels next to its disparity by linear interpolation. So the
  result has a gradient in the disparity everywhere, and a depth network can be trained through it
  (aperture supervision). As depths are discrete and blended, light leaks across depth edges.

  Args:
    image: linear light [h w 3].
    disparity: [h w 1], clipped to [0, 1].
    focus: disparity in focus; may be traced.
    strength: blur radius in pixels per unit of disparity; may be traced.
    limit: largest radius in pixels, a static integer.
    levels: number of layers; ValueError below 2.

  Returns:
    Image [h w 3] in linear light.

  Source: Srinivasan et al., "Aperture supervision for monocular depth estimation", CVPR 2018,
  section 4.2.
  """
  if levels < 2:
    raise ValueError(f'levels is {levels}; it must be at least 2')
  position = jnp.clip(disparity, 0, 1) * (levels - 1)

  def add(under, level):
    weight = jnp.clip(1 - jnp.abs(position - level), 0, 1)
    radius = jnp.minimum(strength * jnp.abs(level / (levels - 1) - focus), limit)
    blurred = _blurred(jnp.concatenate([image * weight, weight], axis=-1), radius, limit)
    light, cover = blurred[..., :3], blurred[..., 3:]
    over, seen = under
    return (light + (1 - cover) * over, cover + (1 - cover) * seen), None

  start = jnp.zeros_like(image), jnp.zeros_like(disparity)
  (light, seen), _ = lax.scan(add, start, jnp.arange(levels, dtype=jnp.float32))
  # The levels do not add up to full coverage; the rest would be black, so divide by the coverage.
  return light / jnp.maximum(seen, 1e-4)


def disc(radius, limit):
  """A disc of a traced radius with a rim one pixel wide: [2*limit+1 2*limit+1], sum 1."""
  rows, columns = np.mgrid[-limit : limit + 1, -limit : limit + 1]
  weight = jnp.clip(radius + 0.5 - np.hypot(rows, columns).astype(np.float32), 0, 1)
  return weight / weight.sum()


def _blurred(x, radius, limit):
  """Convolves every channel of [h w c] with the same disc, with replicate padding."""
  x = jnp.pad(x, ((limit, limit), (limit, limit), (0, 0)), mode='edge')
  # Channels become the batch: a grouped convolution is slow on CPU, and its gradient slower.
  planes = jnp.moveaxis(x, -1, 0)[..., None]
  kernel = disc(radius, limit)[..., None, None]
  y = lax.conv_general_dilated(
    planes, kernel, (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )
  return jnp.moveaxis(y[..., 0], 0, -1)
