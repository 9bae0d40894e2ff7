"""Pseudo-labels of SDDR: gradients of a coarse-to-fine refinement by the model itself (eq. 5, 6).

Level s refines windows of the disparity of level s - 1 with a predictor's view of each, and aligns
their gradients to those of the level before, so that the last level is sharp like the windows and
consistent like the whole picture. All shapes are static, all of it is made of constants for the
derivative.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from depthjax import windows as windows_lib
from depthjax.ops import alignment, filters, gradients, quantiles
from depthjax.ops import disparity as disparity_lib

# Refined disparity of a low and a high prediction, each [n s s 1] in [0, 1].
Refine = Callable[[jax.Array, jax.Array], jax.Array]


class Labels(NamedTuple):
  """Gradients (Sobel, L1) and disparity of the last level, each [b h w 1]."""

  gradient: jax.Array
  disparity: jax.Array


def generate(
  refine: Refine,
  disparity: jax.Array,
  views: jax.Array | None,
  *,
  levels: int,
  sigma: float,
  tolerance: float,
) -> Labels:
  """Pseudo-labels of a batch.

  Args:
    refine: the network.
    disparity: D_0, refined disparity of the whole pictures [b h w 1].
    views: predictions of the windows of levels 1 to `levels`, row by row [b n s s 1]; None for 0.
    levels: S; 0 takes the gradient of D_0 itself.
    sigma: deviation of the bilateral filter of the first gradient, px.
    tolerance: its deviation in value, as a share of the gradient's 95th percentile.
  """
  disparity = jax.lax.stop_gradient(jnp.asarray(disparity))
  gradient = _smoothed(gradients.magnitude(disparity), sigma, tolerance)
  done = 0
  for level in range(1, levels + 1):
    boxes = windows_lib.grid(disparity.shape[1:3], level)
    part = views[:, done : done + len(boxes)]
    disparity, gradient = _level(refine, disparity, gradient, part, boxes)
    done += len(boxes)
  return jax.lax.stop_gradient(Labels(gradient, disparity))


def _level(refine, disparity, gradient, views, boxes):
  """Disparity and gradient of a level from those of the level before."""
  old, reference = (_crops(x, boxes) for x in (disparity, gradient))
  new = _resized(refine(*_inputs(old, views)), old.shape[1:3])
  new = alignment.align(new, old)
  sharper = alignment.align(gradients.magnitude(new), reference)
  weights = jnp.asarray(windows_lib.feather(old.shape[1:3]))[..., None]
  return (
    _blended(disparity, new, weights, boxes),
    _blended(gradient, sharper, weights, boxes),
  )


def _inputs(old, views):
  """What the network is shown: the windows of the level before at the views' size, the views."""
  views = views.reshape(-1, *views.shape[2:])
  old = _resized(old, views.shape[1:3])
  return disparity_lib.normalise(old), disparity_lib.normalise(views)


def _crops(x, boxes):
  """The windows of maps [b h w 1], window by window of each: [b*n h' w' 1]."""
  crops = jnp.stack([x[:, *box.slices] for box in boxes], axis=1)
  return crops.reshape(-1, *crops.shape[2:])


def _blended(x, crops, weights, boxes):
  """Maps [b h w 1] with their windows [b*n h' w' 1] laid over them in turn."""
  crops = crops.reshape(len(x), len(boxes), *crops.shape[1:])
  for i, box in enumerate(boxes):
    part = x[:, *box.slices]
    x = x.at[:, *box.slices].set(part + weights * (crops[:, i] - part))
  return x


def _resized(x, shape):
  shape = (len(x), *shape, x.shape[-1])
  return jax.image.resize(x, shape, 'bilinear', antialias=True)


def _smoothed(gradient, sigma, tolerance):
  scale = quantiles.quantile(gradient, 0.95)
  return filters.bilateral(
    gradient, sigma=sigma, tolerance=jnp.maximum(tolerance * scale, np.float32(1e-6))
  )
