"""The classical renderer (ops.scatter) on a photograph of any size, tile by tile.

A large disc needs no full resolution: a pixel with a radius above `LARGEST` is spread in a picture
reduced by the power of two that brings its radius down to it. The sums of light and of weight that
the pixels leave are linear, so those of the reduced pictures are enlarged and added to those of the
full one before light is divided by weight. So the time does not grow with the radius.

Shapes: h w of a level of this pyramid, level 0 the photograph. Sources are [h w 6]: light and
weight, 0 where a pixel is of another level, its signed radius, and the radius of all pixels; sums
are [h w 4]: light and weight, or with occlusion [h w 8]: those of the pixels in front of the focal
plane, then of those behind it.
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
_MARGIN = LARGEST + 1


def render(
  photo: np.ndarray,
  defocus: np.ndarray,
  core: int = _CORE,
  done: Callable[[float], None] = lambda _: None,
  *,
  occlusion: bool = False,
  blades: int = 0,
) -> np.ndarray:
  """Spreads every pixel over its circle of confusion, in linear light.

  Args:
    photo: sRGB, float32 [h w 3]; boosted highlights are above 1.
    defocus: signed blur radius in pixels [h w 1].
    core: result size of a tile in pixels, even.
    done: called after each tile with its fraction of the work.
    occlusion: what is behind the focal plane does not spread over what is sharper.
    blades: corners of the aperture; 0 is a disc.

  Returns:
    sRGB float32 [h w 3].
  """
  count = math.ceil(math.log2(max(float(np.abs(defocus).max()) / LARGEST, 1)))
  reduce = functools.partial(_reduced, count=count)
  levels = tiles.blockwise(reduce, photo, defocus, constant_values=np.nan) if count else []
  step = functools.partial(
    done, 1 / sum(len(tiles.corners(x.shape, core)) for x in (photo, *levels))
  )
  tile, sums = functools.partial(_tile, core=core, occlusion=occlusion, blades=blades), None
  for sources in reversed(levels):
    coarser, sums = sums, np.empty((*sources.shape[:2], 8 if occlusion else 4), np.float32)
    for corner in tiles.corners(sources.shape, core):
      window = tiles.window(sources, corner, core, _MARGIN)
      tiles.put(sums, corner, tile(window, coarser, corner))
      step()
  result = np.empty(photo.shape, np.float32)
  for corner in tiles.corners(photo.shape, core):
    parts = (
      tiles.window(x, corner, core, _MARGIN, constant_values=np.nan) for x in (photo, defocus)
    )
    window = np.asarray(_sources(*parts, -1, LARGEST))
    tiles.put(result, corner, _encoded(tile(window, sums, corner)))
    step()
  return result


def _tile(
  window: np.ndarray,
  coarser: np.ndarray | None,
  corner: tuple[int, int],
  core: int,
  **fields: int,
) -> jax.Array:
  """Sums of a tile: those of the sources in its window, and of `coarser`, at half the size."""
  radius = np.abs(window[..., 4]).max()
  limit = next(limit for limit in _LIMITS if radius <= limit)
  inner = slice(LARGEST - limit, len(window) - LARGEST + limit)
  if coarser is None:
    below = np.zeros((core // 2 + 2, core // 2 + 2, 8 if fields['occlusion'] else 4), np.float32)
  else:
    below = tiles.window(coarser, [start // 2 for start in corner], core // 2, 1, mode='edge')
  return _sums(window[inner, inner], below, limit=limit, **fields)


@functools.partial(jax.jit, static_argnames='count')
def _reduced(photo: jax.Array, defocus: jax.Array, count: int) -> list[jax.Array]:
  """The sources of levels 1 to `count`, from a block of the photograph."""
  result = []
  for k in range(1, count + 1):
    sources = _sources(photo, defocus, LARGEST * 2 ** (k - 1), LARGEST * 2**k)
    sources = jnp.concatenate([sources, jnp.abs(sources[..., 4:5])], axis=-1)
    light, weight, signed, every, radius = jnp.split(
      resize.downsample(sources, 2**k), (3, 4, 5, 6), axis=-1
    )
    radius = jnp.minimum(radius / jnp.maximum(weight, 1e-9) / 2**k, LARGEST)
    signed = jnp.where(signed < 0, -radius, radius)
    result.append(jnp.concatenate([light, weight, signed, every / 2**k], axis=-1))
  return result


@jax.jit
def _sources(photo: jax.Array, defocus: jax.Array, least: float, most: float) -> jax.Array:
  """The pixels whose radius is in (least, most]; outside the frame it is NaN."""
  radius = jnp.abs(defocus)
  parts = [colour.srgb_to_linear(photo), jnp.ones_like(radius), defocus]
  parts = jnp.where((radius > least) & (radius <= most), jnp.concatenate(parts, axis=-1), 0)
  return jnp.concatenate([parts, jnp.nan_to_num(radius)], axis=-1)


@functools.partial(jax.jit, static_argnames=('limit', 'occlusion', 'blades'))
def _sums(
  window: jax.Array, coarser: jax.Array, limit: int, occlusion: bool, blades: int
) -> jax.Array:
  planes = jnp.moveaxis(window, -1, 0)
  light, defocus, target = jnp.split(planes, (4, 5))
  h, w = coarser.shape[:2]
  below = jnp.moveaxis(resize.upsample(coarser, (2 * h, 2 * w))[2:-2, 2:-2], -1, 0)
  if occlusion:
    target = target[:, limit + 1 : -limit - 1, limit + 1 : -limit - 1]
    light = jnp.concatenate([jnp.where(defocus < 0, 0, light), jnp.where(defocus < 0, light, 0)])
    # The fraction of a larger disc within the radius of a sharper pixel.
    within = jnp.minimum(target / LARGEST, 1) ** 2
    below = jnp.concatenate([below[:4], below[4:] * within])
  fields = {'target': target if occlusion else None, 'blades': blades}
  return jnp.moveaxis(scatter.spread(light, defocus, limit=limit, **fields) + below, 0, -1)


@jax.jit
def _encoded(sums: jax.Array) -> jax.Array:
  sums = sums.reshape(*sums.shape[:2], -1, 4).sum(axis=2)
  return colour.linear_to_srgb(sums[..., :3] / sums[..., 3:])
