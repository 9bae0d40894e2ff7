"""The classical renderer (ops.scatter) on a photograph of any size, tile by tile.

A large disc needs no full resolution: a pixel with a radius above `LARGEST` is spread in a picture
reduced by the power of two that brings its radius down to it. The sums of light and of weight that
the pixels leave are linear, so those of the reduced pictures are enlarged and added to those of the
full one before light is divided by weight. So the time does not grow with the radius.

Shapes: h w of a level of this pyramid, level 0 the photograph. Sources are [h w 5]: light and
weight, 0 where a pixel is of another level, and the radius; sums are [h w 4]: light and weight.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.ops import colour, resize, scatter
from depthjax.pipelines import tiles

# Result size of a tile in pixels, even, such that its sums fit into the cache of a CPU.
_CORE = 256
# Largest radius in pixels of a level: the result differs from the exact one by 0.2/255 (RMS).
LARGEST = 16
# Radii that programs are compiled for: a tile uses the smallest that is enough.
_LIMITS = (2, 4, 8, LARGEST)
# Side in pixels of the parts of a photograph that are reduced one by one, a power of two.
_REDUCED = 512


def render(
  photo: np.ndarray,
  defocus: np.ndarray,
  core: int = _CORE,
  *,
  wanted: np.ndarray | None = None,
  done: Callable[[float], None] = lambda _: None,
) -> np.ndarray:
  """Spreads every pixel over its circle of confusion, in linear light.

  Args:
    photo: sRGB in [0, 1], float32 [h w 3].
    defocus: signed blur radius in pixels [h w 1].
    core: result size of a tile in pixels, even.
    wanted: pixels that are needed, bool [h w 1]; tiles without any are left 0. Default: all.
    done: called after every tile with its fraction of the work.

  Returns:
    sRGB float32 [h w 3].
  """
  levels = _reduced(photo, defocus)
  total = sum(len(list(tiles.corners(x.shape, core))) for x in (photo, *levels))
  step = functools.partial(done, 1 / total)
  sums = None
  for sources in reversed(levels):
    sums = _level(sources, sums, core, step)
  result = np.zeros(photo.shape, np.float32)
  for corner in tiles.corners(photo.shape, core):
    part = result[*(slice(start, start + core) for start in corner)]
    if wanted is None or wanted[*(slice(start, start + core) for start in corner)].any():
      window = functools.partial(tiles.window, corner=corner, core=core, margin=LARGEST + 1)
      sources = _sources(window(photo), window(defocus, constant_values=np.nan))
      tile = _encoded(_tile(np.asarray(sources), sums, corner, core))
      part[:] = np.asarray(tile)[: part.shape[0], : part.shape[1]]
    step()
  return result


def _level(
  sources: np.ndarray, coarser: np.ndarray | None, core: int, step: Callable[[], None]
) -> np.ndarray:
  """Sums at a level: those of its own sources and of `coarser`, the sums at half its size."""
  result = np.empty((*sources.shape[:2], 4), np.float32)
  for corner in tiles.corners(sources.shape, core):
    tile = _tile(tiles.window(sources, corner, core, LARGEST + 1), coarser, corner, core)
    part = result[*(slice(start, start + core) for start in corner)]
    part[:] = np.asarray(tile)[: part.shape[0], : part.shape[1]]
    step()
  return result


def _tile(
  window: np.ndarray, coarser: np.ndarray | None, corner: tuple[int, int], core: int
) -> jax.Array:
  """Sums of a tile, from its sources and a margin."""
  radius = window[..., 4].max()
  limit = next(limit for limit in _LIMITS if radius <= limit)
  inner = slice(LARGEST - limit, len(window) - LARGEST + limit)
  if coarser is None:
    below = np.zeros((core // 2 + 2, core // 2 + 2, 4), np.float32)
  else:
    row, column = corner
    below = tiles.window(coarser, (row // 2, column // 2), core // 2, 1, mode='edge')
  return _sums(window[inner, inner], below, limit=limit)


def _reduced(photo: np.ndarray, defocus: np.ndarray) -> list[np.ndarray]:
  """The sources of each level above 0."""
  count = max(0, math.ceil(math.log2(max(float(np.abs(defocus).max()), 1) / LARGEST)))
  h, w = photo.shape[:2]
  size = max(_REDUCED, 2**count)
  shapes = [(-(-h // 2**k), -(-w // 2**k)) for k in range(1, count + 1)]
  result = [np.empty((*shape, 5), np.float32) for shape in shapes]
  for corner in tiles.corners((h, w), size) if count else ():
    blur = tiles.window(defocus, corner, size, constant_values=np.nan)
    levels = _levels(tiles.window(photo, corner, size), blur, count=count)
    for k, (full, sources) in enumerate(zip(result, levels, strict=True), 1):
      part = full[*(slice(start >> k, start + size >> k) for start in corner)]
      part[:] = np.asarray(sources)[: part.shape[0], : part.shape[1]]
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
