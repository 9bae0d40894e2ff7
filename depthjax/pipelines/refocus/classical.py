"""The classical renderer (ops.scatter) on a photograph of any size, tile by tile.

A large disc needs no full resolution: a pixel with a radius above `LARGEST` is spread in a picture
reduced by the power of two that brings its radius down to it. The sums of light and of weight that
the pixels leave are linear, so those of the reduced pictures are enlarged and added to those of the
full one before light is divided by weight. So the time does not grow with the radius.

Shapes: h w of a level of this pyramid, level 0 the photograph. Sources are [h w 5]: light and
weight, 0 where a pixel is of another level, and the radius; sums are [h w 4]: light and weight.
"""

import functools
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.ops import colour, resize, scatter

# Result size of a tile in pixels, even, such that its sums fit into the cache of a CPU.
_CORE = 256
# Largest radius in pixels of a level: the result differs from the exact one by 0.2/255 (RMS).
LARGEST = 16
# Radii that programs are compiled for: a tile uses the smallest that is enough.
_LIMITS = (2, 4, 8, LARGEST)
# Side in pixels of the parts of a photograph that are reduced one by one, a power of two.
_REDUCED = 512


def render(photo: np.ndarray, defocus: np.ndarray, core: int = _CORE) -> np.ndarray:
  """Spreads every pixel over its circle of confusion, in linear light.

  Args:
    photo: sRGB in [0, 1], float32 [h w 3].
    defocus: signed blur radius in pixels [h w 1].
    core: result size of a tile in pixels, even.

  Returns:
    sRGB float32 [h w 3].
  """
  count = max(0, math.ceil(math.log2(max(float(np.abs(defocus).max()), 1) / LARGEST)))
  sums = None
  for sources in reversed(_reduced(photo, defocus, count)):
    sums = _level(sources, sums, core)
  (h, w), margin = photo.shape[:2], LARGEST + 1
  result = np.empty(photo.shape, np.float32)
  for row, column in _corners((h, w), core):
    part = _window(photo, row, column, core, margin)
    blur = _window(defocus, row, column, core, margin, constant_values=np.nan)
    tile = _encoded(_tile(np.asarray(_sources(part, blur)), sums, row, column, core))
    result[row : row + core, column : column + core] = np.asarray(tile)[: h - row, : w - column]
  return result


def _corners(shape: tuple[int, ...], core: int) -> Any:
  return itertools.product(*(range(0, n, core) for n in shape[:2]))


def _window(
  x: np.ndarray, row: int, column: int, core: int, margin: int, **padding: Any
) -> np.ndarray:
  """A tile of [h w c] with a margin, padded outside the frame: [core + 2 margin, ..., c]."""
  starts = row - margin, column - margin
  size = core + 2 * margin
  outside = [
    (max(-start, 0), max(start + size - n, 0)) for start, n in zip(starts, x.shape, strict=False)
  ]
  return np.pad(x[*(slice(max(s, 0), s + size) for s in starts)], (*outside, (0, 0)), **padding)


def _level(sources: np.ndarray, coarser: np.ndarray | None, core: int) -> np.ndarray:
  """Sums at a level: those of its own sources and of `coarser`, the sums at half its size."""
  result = np.empty((*sources.shape[:2], 4), np.float32)
  for row, column in _corners(sources.shape, core):
    kept = np.s_[row : row + core, column : column + core]
    tile = _tile(_window(sources, row, column, core, LARGEST + 1), coarser, row, column, core)
    result[kept] = np.asarray(tile)[: len(result) - row, : result.shape[1] - column]
  return result


def _tile(window: np.ndarray, coarser: np.ndarray | None, row: int, column: int, core: int) -> Any:
  """Sums of a tile, from its sources and a margin."""
  radius = window[..., 4].max()
  limit = next((limit for limit in _LIMITS if radius <= limit), LARGEST)
  inner = slice(LARGEST - limit, len(window) - LARGEST + limit)
  if coarser is None:
    below = np.zeros((core // 2 + 2, core // 2 + 2, 4), np.float32)
  else:
    below = _window(coarser, row // 2, column // 2, core // 2, 1, mode='edge')
  return _sums(window[inner, inner], below, limit=limit)


def _reduced(photo: np.ndarray, defocus: np.ndarray, count: int) -> list[np.ndarray]:
  """The sources of each level above 0."""
  h, w = photo.shape[:2]
  size = max(_REDUCED, 2**count)
  shapes = [(-(-h // 2**k), -(-w // 2**k)) for k in range(1, count + 1)]
  result = [np.empty((*shape, 5), np.float32) for shape in shapes]
  for row, column in _corners((h, w), size) if count else ():
    part = _window(photo, row, column, size, 0)
    blur = _window(defocus, row, column, size, 0, constant_values=np.nan)
    for k, sources in enumerate(_levels(part, blur, count=count), 1):
      into = result[k - 1][row >> k : row + size >> k, column >> k : column + size >> k]
      into[:] = np.asarray(sources)[: into.shape[0], : into.shape[1]]
  return result


@functools.partial(jax.jit, static_argnames='count')
def _levels(photo: jax.Array, defocus: jax.Array, count: int) -> list[jax.Array]:
  """The sources of levels 1 to `count`, from a part of the photograph."""
  result = []
  for k in range(1, count + 1):
    most = LARGEST * 2**k if k < count else np.inf
    sources = resize.downsample(_sources(photo, defocus, LARGEST * 2 ** (k - 1), most), 2**k)
    light, weight, radius = jnp.split(sources, (3, 4), axis=-1)
    radius = jnp.minimum(radius / jnp.maximum(weight, 1e-9) / 2**k, LARGEST)
    result.append(jnp.concatenate([light, weight, radius], axis=-1))
  return result


@jax.jit
def _sources(
  photo: jax.Array, defocus: jax.Array, least: float = -1.0, most: float = LARGEST
) -> jax.Array:
  """The pixels whose radius is in (least, most]; NaN is outside the frame."""
  radius = jnp.abs(defocus)
  parts = [colour.srgb_to_linear(photo), jnp.ones_like(radius), radius]
  return jnp.where((radius > least) & (radius <= most), jnp.concatenate(parts, axis=-1), 0)


@functools.partial(jax.jit, static_argnames='limit')
def _sums(window: jax.Array, coarser: jax.Array, limit: int) -> jax.Array:
  planes = jnp.moveaxis(window, -1, 0)
  own = jnp.moveaxis(scatter.spread(planes[:4], planes[4:], limit=limit), 0, -1)
  h, w = coarser.shape[:2]
  return own + resize.upsample(coarser, (2 * h, 2 * w))[2:-2, 2:-2]


@jax.jit
def _encoded(sums: jax.Array) -> jax.Array:
  return colour.linear_to_srgb(sums[..., :3] / sums[..., 3:])
