"""Pseudo-labels of SDDR: gradients of a coarse-to-fine refinement by the model itself (eq. 5, 6).

Level s refines windows of the disparity of level s - 1, each with a prediction for that window, and
aligns the result and its gradients to level s - 1. The last level is as sharp as the windows and as
consistent as the full map. Shapes are static, and no gradients flow through the labels.

One scan runs over the windows of all levels, so that the network is compiled once. Windows are
cropped and pasted by products with resampling matrices, without gathers.
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

# (low, high) -> refined disparity; all [n s s 1] in [0, 1].
Refine = Callable[[jax.Array, jax.Array], jax.Array]


class Labels(NamedTuple):
  """Gradients (Sobel, L1) and disparity of a level, each [b h w 1]."""

  gradient: jax.Array
  disparity: jax.Array


class _Boxes(NamedTuple):
  """Windows of a map: positions and sizes [...] in pixels."""

  top: np.ndarray
  left: np.ndarray
  height: np.ndarray
  width: np.ndarray
  rows: np.ndarray  # Blending weights along the rows of the map [... h].
  columns: np.ndarray  # Along its columns [... w].


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
    disparity: D_0, refined disparity of the full maps [b h w 1].
    views: predictions for the windows of levels 1 to `levels`, row by row [b n s s 1]; None for 0.
    levels: S; with 0 the labels are the gradient of D_0.
    sigma: spatial standard deviation of the bilateral filter of the first gradient, px.
    sigma_range: its range standard deviation, as a fraction of the gradient's 95th percentile.
    chunk: windows of each map in one call of the network.

  Raises:
    ValueError: `views` has the wrong number of windows.
  """
  disparity = jax.lax.stop_gradient(jnp.asarray(disparity))
  gradient = gradients.magnitude(disparity)
  scale = jnp.maximum(sigma_range * quantiles.quantile(gradient, 0.95), np.float32(1e-6))
  first = Labels(filters.bilateral(gradient, sigma=sigma, sigma_range=scale), disparity)
  if not levels:
    return jax.lax.stop_gradient(first)
  count = windows_lib.count(levels)
  if views.shape[1] != count:
    wrong = f'views has {views.shape[1]} windows'
    raise ValueError(f'{wrong}; it must have {count} for levels 1 to {levels}')
  begins, order, boxes = _plan(disparity.shape[1:3], levels, chunk)
  # [steps b chunk s s 1], by slices: indexing by an array would be a gather.
  views = jnp.stack([jnp.stack([views[:, i] for i in row], axis=1) for row in order])
  step = functools.partial(_step, refine)
  (_, labels), _ = jax.lax.scan(step, (first, first), (begins, boxes, views))
  return jax.lax.stop_gradient(labels)


def _plan(shape: tuple[int, int], levels: int, chunk: int) -> tuple[np.ndarray, np.ndarray, _Boxes]:
  """The steps of the scan: whether a level begins [n], indices [n chunk] and boxes of the windows.

  The last chunk of a level is padded by its last window with zero weights.
  """
  begins, order, boxes, done = [], [], [], 0
  for level in range(1, levels + 1):
    found = windows_lib.grid(shape, level)
    padded = -(-len(found) // chunk) * chunk
    number = np.minimum(np.arange(padded), len(found) - 1)
    begins += [i == 0 for i in range(0, padded, chunk)]
    order.append(done + number)
    boxes += [_box(found[i], shape, at < len(found)) for at, i in enumerate(number)]
    done += len(found)
  boxes = [
    np.stack(x).reshape(len(begins), chunk, *np.shape(x[0])) for x in zip(*boxes, strict=True)
  ]
  return np.array(begins), np.concatenate(order).reshape(len(begins), chunk), _Boxes(*boxes)


def _box(box: windows_lib.Window, shape: tuple[int, int], used: bool) -> _Boxes:
  rows, columns = (np.zeros(size, np.float32) for size in shape)
  rows[box.slices[0]] = windows_lib.profile(box.height) * used
  columns[box.slices[1]] = windows_lib.profile(box.width)
  return _Boxes(*(np.float32(x) for x in box), rows, columns)


def _step(
  refine: Refine, maps: tuple[Labels, Labels], inputs: tuple[jax.Array, _Boxes, jax.Array]
) -> tuple[tuple[Labels, Labels], None]:
  """Pastes a chunk of windows; `maps` are those of the previous and of the current level."""
  old, new = maps
  begins, boxes, views = inputs
  # A level reads only the finished maps of the previous one.
  old = jax.tree.map(lambda x, y: jnp.where(begins, y, x), old, new)
  fine = _refine(refine, old.disparity, boxes, views)
  new, _ = jax.lax.scan(lambda new, one: (_paste(old, new, *one), None), new, (boxes, fine))
  return (old, new), None


def _refine(refine: Refine, old: jax.Array, boxes: _Boxes, views: jax.Array) -> jax.Array:
  """Refines windows of maps [b h w 1] with their views [b c s s 1]: [c b s s 1]."""
  b, c, side = views.shape[:3]
  h, w = old.shape[1:3]
  weights = jax.vmap(_resampling, (None, None, 0, 0))
  rows = weights(side, h, boxes.top, boxes.height)
  columns = weights(side, w, boxes.left, boxes.width)
  crops = jnp.einsum('cyh,bhwi,cxw->bcyxi', rows, old, columns, precision='highest')
  pair = (x.reshape(b * c, side, side, 1) for x in (crops, views))
  fine = refine(*map(disparity_lib.normalise, pair))
  return jnp.moveaxis(fine.reshape(b, c, side, side, 1), 1, 0)


def _paste(old: Labels, new: Labels, box: _Boxes, fine: jax.Array) -> Labels:
  """Blends a refined window [b s s 1], aligned to the maps `old`, into the maps `new`."""
  h, w = old.disparity.shape[1:3]
  side = fine.shape[1]
  # The pixels of the map in coordinates of the window; beyond it its edge is repeated.
  rows = _resampling(h, side, -box.top * side / box.height, h * side / box.height)
  columns = _resampling(w, side, -box.left * side / box.width, w * side / box.width)
  fine = jnp.einsum('hy,byxi,wx->bhwi', rows, fine, columns, precision='highest')
  inside = _mask(h, box.top, box.height)[:, None, None] * _mask(w, box.left, box.width)[:, None]
  fine = alignment.align(fine, old.disparity, inside)
  sharper = alignment.align(gradients.magnitude(fine), old.gradient, inside)
  weights = (box.rows[:, None] * box.columns)[..., None]
  blend = lambda x, y: x + weights * (y - x)  # noqa: E731
  return Labels(blend(new.gradient, sharper), blend(new.disparity, fine))


def _resampling(count: int, size: int, first: jax.Array, length: jax.Array) -> jax.Array:
  """The matrix [count size] that resamples part of an axis linearly; its rows have the sum 1.

  The part is from `first` to `first + length`, px; `count` output pixels divide it equally. They
  are interpolated, or means over areas where the part shrinks. Pixels beyond the part or the axis
  have weight 0: the nearest ones inside replace them.
  """
  scale = length / count
  low, high = jnp.maximum(first, 0), jnp.minimum(first + length, size)
  margin = jnp.maximum(scale, 1) / 2  # From the ends to the centre of the outermost pixel.
  at = jnp.clip(first + (jnp.arange(count) + 0.5) * scale, low + margin, high - margin)
  centre = jnp.arange(size) + 0.5
  weights = jnp.maximum(0, 1 - jnp.abs(at[:, None] - centre) / jnp.maximum(scale, 1))
  weights *= (centre > low) & (centre < high)
  return weights / weights.sum(1, keepdims=True)


def _mask(size: int, first: jax.Array, length: jax.Array) -> jax.Array:
  """1 at the pixels of an axis within a part of it, else 0: [size]."""
  centre = jnp.arange(size) + 0.5
  return ((centre > first) & (centre < first + length)).astype(jnp.float32)
