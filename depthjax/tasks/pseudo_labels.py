"""Pseudo-labels of SDDR: gradients of a coarse-to-fine refinement by the model itself (eq. 5, 6).

Level s refines windows of the disparity of level s - 1 with a predictor's view of each, and aligns
their gradients to those of the level before, so that the last level is sharp like the windows and
consistent like the whole picture. All shapes are static, all of it is made of constants for the
derivative.

Windows of all levels pass through one loop, so that the network is compiled once for all of them.
Each is cut out of the picture, and laid over it, by products with matrices made on the way.
"""

import functools
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
  """Gradients (Sobel, L1) and disparity of a level, each [b h w 1]."""

  gradient: jax.Array
  disparity: jax.Array


class _Boxes(NamedTuple):
  """Windows: where they lie, px, and their weights along the rows and columns of the picture.

  Fields: top, left, height, width [...]; down [... h], across [... w].
  """

  top: np.ndarray
  left: np.ndarray
  height: np.ndarray
  width: np.ndarray
  down: np.ndarray
  across: np.ndarray


def generate(
  refine: Refine,
  disparity: jax.Array,
  views: jax.Array | None,
  *,
  levels: int,
  sigma: float,
  sigma_range: float,
  chunk: int = 4,
) -> Labels:
  """Pseudo-labels of a batch.

  Args:
    refine: the network.
    disparity: D_0, refined disparity of the whole pictures [b h w 1].
    views: predictions of the windows of levels 1 to `levels`, row by row [b n s s 1]; None for 0.
    levels: S; 0 takes the gradient of D_0 itself.
    sigma: deviation of the bilateral filter of the first gradient, px.
    sigma_range: its deviation in value, as a share of the gradient's 95th percentile.
    chunk: windows of each picture that the network sees at once.

  Raises:
    ValueError: another number of views than the levels have windows.
  """
  disparity = jax.lax.stop_gradient(jnp.asarray(disparity))
  start = Labels(_smoothed(gradients.magnitude(disparity), sigma, sigma_range), disparity)
  if not levels:
    return jax.lax.stop_gradient(start)
  count = windows_lib.count(levels)
  if views.shape[1] != count:
    raise ValueError(f'{views.shape[1]} views; levels 1 to {levels} have {count} windows')
  firsts, order, boxes = _plan(disparity.shape[1:3], levels, chunk)
  # [steps b chunk s s 1]. Slices: an array of indices would have values gathered one by one.
  views = jnp.stack([jnp.stack([views[:, i] for i in row], axis=1) for row in order])
  step = functools.partial(_step, refine)
  (_, labels), _ = jax.lax.scan(step, (start, start), (firsts, boxes, views))
  return jax.lax.stop_gradient(labels)


def _plan(shape: tuple[int, int], levels: int, chunk: int) -> tuple[np.ndarray, np.ndarray, _Boxes]:
  """The steps of the loop: whether a level begins [n], which windows [n chunk], where they lie.

  A level whose windows do not fill its last chunk has one of them again, of no weight.
  """
  firsts, order, boxes, done = [], [], [], 0
  for level in range(1, levels + 1):
    found = windows_lib.grid(shape, level)
    padded = -(-len(found) // chunk) * chunk
    number = np.minimum(np.arange(padded), len(found) - 1)
    firsts += [start == 0 for start in range(0, padded, chunk)]
    order.append(done + number)
    boxes += [_box(found[i], shape, at < len(found)) for at, i in enumerate(number)]
    done += len(found)
  boxes = [
    np.stack(x).reshape(len(firsts), chunk, *np.shape(x[0])) for x in zip(*boxes, strict=True)
  ]
  return np.array(firsts), np.concatenate(order).reshape(len(firsts), chunk), _Boxes(*boxes)


def _box(box: windows_lib.Window, shape: tuple[int, int], counts: bool) -> _Boxes:
  down, across = (np.zeros(size, np.float32) for size in shape)
  rows, columns = box.slices
  down[rows] = windows_lib.profile(box.height) * counts
  across[columns] = windows_lib.profile(box.width)
  return _Boxes(*(np.float32(x) for x in box), down, across)


def _step(
  refine: Refine, maps: tuple[Labels, Labels], inputs: tuple[jax.Array, _Boxes, jax.Array]
) -> tuple[tuple[Labels, Labels], None]:
  """A chunk of windows: the maps of the level before, and those of its own, with them laid over."""
  old, new = maps
  first, boxes, views = inputs
  # What a level reads is what the one before has made of the whole picture.
  old = jax.tree.map(lambda x, y: jnp.where(first, y, x), old, new)
  fine = _refined(refine, old.disparity, boxes, views)
  new, _ = jax.lax.scan(lambda new, one: (_laid(old, new, *one), None), new, (boxes, fine))
  return (old, new), None


def _refined(refine: Refine, old: jax.Array, boxes: _Boxes, views: jax.Array) -> jax.Array:
  """Windows of maps [b h w 1], refined with their views [b c s s 1]: [c b s s 1]."""
  b, c, side = views.shape[:3]
  h, w = old.shape[1:3]
  weights = jax.vmap(_weights, (None, None, 0, 0))
  rows = weights(side, h, boxes.top, boxes.height)
  columns = weights(side, w, boxes.left, boxes.width)
  crops = jnp.einsum('cyh,bhwi,cxw->bcyxi', rows, old, columns, precision='highest')
  pair = (x.reshape(b * c, side, side, 1) for x in (crops, views))
  fine = refine(*map(disparity_lib.normalise, pair))
  return jnp.moveaxis(fine.reshape(b, c, side, side, 1), 1, 0)


def _laid(old: Labels, new: Labels, box: _Boxes, fine: jax.Array) -> Labels:
  """Maps with a refined window [b s s 1] of the level before laid over them."""
  h, w = old.disparity.shape[1:3]
  side = fine.shape[1]
  # Pixels of the picture as places in the window; those beyond it continue its border.
  rows = _weights(h, side, -box.top * side / box.height, h * side / box.height)
  columns = _weights(w, side, -box.left * side / box.width, w * side / box.width)
  fine = jnp.einsum('hy,byxi,wx->bhwi', rows, fine, columns, precision='highest')
  inside = _within(h, box.top, box.height)[:, None, None] * _within(w, box.left, box.width)[:, None]
  fine = alignment.align(fine, old.disparity, inside)
  sharper = alignment.align(gradients.magnitude(fine), old.gradient, inside)
  weights = (box.down[:, None] * box.across)[..., None]
  blend = lambda x, y: x + weights * (y - x)  # noqa: E731
  return Labels(blend(new.gradient, sharper), blend(new.disparity, fine))


def _weights(count: int, size: int, start: jax.Array, length: jax.Array) -> jax.Array:
  """Linear resampling of an axis: a matrix [count size], whose rows have the sum 1.

  `count` pixels share the part of the axis from `start` on, of `length` pixels: by interpolation
  or, where that is shrinking, means over areas. None reads what lies beyond this part or the axis.
  """
  scale = length / count
  low, high = jnp.maximum(start, 0), jnp.minimum(start + length, size)
  rim = jnp.maximum(scale, 1) / 2  # Of the outermost pixel that lies in the part.
  at = jnp.clip(start + (jnp.arange(count) + 0.5) * scale, low + rim, high - rim)
  centre = jnp.arange(size) + 0.5
  weights = jnp.maximum(0, 1 - jnp.abs(at[:, None] - centre) / jnp.maximum(scale, 1))
  weights *= (centre > low) & (centre < high)
  return weights / weights.sum(1, keepdims=True)


def _within(size: int, start: jax.Array, length: jax.Array) -> jax.Array:
  """1 at the pixels of an axis that lie in a part of it, else 0: [size]."""
  centre = jnp.arange(size) + 0.5
  return ((centre > start) & (centre < start + length)).astype(jnp.float32)


def _smoothed(gradient, sigma, sigma_range):
  scale = quantiles.quantile(gradient, 0.95)
  return filters.bilateral(
    gradient, sigma=sigma, sigma_range=jnp.maximum(sigma_range * scale, np.float32(1e-6))
  )
