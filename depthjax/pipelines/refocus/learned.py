"""The learned lens blur on a photograph of any size: a pyramid, doubled tile by tile.

The upsampler never sees more than a tile of a level, so that memory grows by the picture's own
arrays alone. h w are the rows and columns of the photograph.
"""

import functools
import importlib.resources
import math
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.files import weights
from depthjax.models.deeplens import discs
from depthjax.models.deeplens.lensblur import LensBlur, from_config
from depthjax.models.deeplens.upsampler import Upsampler
from depthjax.ops import colour, resize
from depthjax.pipelines import tiles

# The networks' own resolution.
_LONG_SIDE = 320
_SMALLEST = 16
# The U-Net's three strides of two: only from multiples of 8 do tiles see the frame's own grid.
STRIDE = 8
# How far a pixel of the U-Net sees before and after itself, as measured on the network.
UNET_REACH = (38, 45)
# Pixels of the lower level in a tile's result. With the release preset 2048 x 1365 pixels then peak
# at 1.3 GB and 24 megapixels at 2.6 GB, of which the photograph and its result are 0.6.
_CORE = 288


class Learned(NamedTuple):
  """Trained lens blur: the network, its variables, and the largest radius it blurs at once.

  `radius` is in pixels of the lowest level of the pyramid (`render.radius` of the run).
  """

  model: LensBlur
  variables: dict[str, Any]
  radius: int


def load(path: str | os.PathLike) -> Learned:
  """The learned renderer of a run's folder or its weights.safetensors.

  Raises:
    files.errors.InputError: the file cannot be read or is of another task.
  """

  model, variables = weights.load_network(path, {'lensblur': from_config})
  return Learned(model, variables, model.radius)


def builtin() -> Learned:
  """The renderer that ships with the package: docs/models/lensblur.md says what it is."""
  return load(importlib.resources.files('depthjax') / 'pretrained' / 'lensblur.safetensors')


def doublings(shape: tuple[int, int], radius: float, largest: int) -> int:
  """How often the lowest level is doubled to the size of the photograph.

  It is about 320 pixels long, and small enough for the blur to be at most `largest` pixels there;
  but no doubled level started from less than 16 pixels on its short side.

  Raises:
    ValueError: the blur would need a level smaller than that.
  """
  usual = round(math.log2(max(shape) / _LONG_SIDE))
  needed = math.ceil(math.log2(radius / largest) - 1e-6)
  most = max(0, math.floor(math.log2(min(shape) / _SMALLEST)))
  if needed > most:
    raise ValueError(
      f'a blur radius of {radius:.4g} pixels is too large for a photograph of '
      f'{shape[1]} x {shape[0]}; at most {largest * 2**most} pixels'
    )
  return max(0, needed, min(usual, most))


def render(
  learned: Learned, photo: np.ndarray, defocus: np.ndarray, count: int, core: int = _CORE
) -> np.ndarray:
  """Blurs the lowest level of a pyramid and doubles it, guided by each level in turn.

  Args:
    learned: the network.
    photo: sRGB in [0, 1], float32 [h w 3].
    defocus: signed blur radius in pixels [h w 1].
    count: doublings from the lowest level to the photograph.
    core: pixels of the lower level that a tile doubles, a multiple of 8.

  Returns:
    sRGB float32 [h w 3], not clipped.
  """
  h, w = photo.shape[:2]
  # The border is repeated up to sizes that every stride divides, as in training.
  multiple = STRIDE * 2**count
  border = ((0, -h % multiple), (0, -w % multiple), (0, 0))
  images, signed = _pyramid(np.pad(photo, border, 'edge'), np.pad(defocus, border, 'edge'), count)
  signed = [x / np.float32(2**count * learned.radius) for x in signed]
  blur, upsample = compiled(learned.model)
  blurred = np.asarray(blur(learned.variables, images[0][None], signed[0][None])[0])
  upsample = functools.partial(upsample, learned.variables)
  margin, near = _head_reach(learned.model), _nearby(signed[0], radius=learned.radius)
  for i in range(count):
    blurred = np.clip(blurred, 0, 1)
    place = _place(signed[i], near, radius=learned.radius, scale=2**i)
    low = np.concatenate([images[i], blurred, signed[i], place], axis=-1)
    blurred = _doubled(upsample, low, images[i + 1], margin, core)
  return blurred[:h, :w]


def _doubled(upsample, low: np.ndarray, guide: np.ndarray, margin: int, core: int) -> np.ndarray:
  """One doubling: `low` [h w 9] and `guide` [2h 2w 3] to the blurred picture [2h 2w 3]."""
  before, after = (_up(margin + reach) for reach in UNET_REACH)
  rows, columns = (tiles.spans(n, core, before, after, STRIDE) for n in low.shape[:2])
  result = np.empty(guide.shape, np.float32)
  for tile in tiles.tiles(rows, columns):
    outer, inner, parts = [], [], []
    for span, n in zip(tile, low.shape[:2], strict=True):
      whole = span.stop - span.start == n
      size = n if whole else core + before + after
      outer.append(slice(span.outer, span.outer + size))
      # What the head sees: a margin around the result, of one size, within the frame.
      seen = n if whole else core + 2 * margin
      start = min(max(span.start - margin, 0), n - seen)
      inner.append(slice(start, start + seen))
      parts.append(slice(span.start, span.stop))
    window = low[*outer][None]
    corner = tuple(i.start - o.start for i, o in zip(inner, outer, strict=True))
    image, blurred, defocus, place = np.split(window, (3, 6, 7), axis=-1)
    made = upsample(image, blurred, defocus, guide[*_twice(inner)][None], corner, place)
    kept = [slice(p.start - i.start, p.stop - i.start) for p, i in zip(parts, inner, strict=True)]
    result[*_twice(parts)] = np.asarray(made[0])[*_twice(kept)]
  return result


def _twice(slices: list[slice]) -> list[slice]:
  return [slice(2 * part.start, 2 * part.stop) for part in slices]


def _up(length: int) -> int:
  return -(-length // STRIDE) * STRIDE


def _head_reach(model: LensBlur) -> int:
  """Pixels of the lower level that the head of the upsampler sees around a pixel's double."""
  features = model.upsampler_features or Upsampler.features
  convolutions = 6  # Of 3 x 3: one after enlarging, four of the weights and their last.
  # Enlarging itself sees one pixel further.
  return math.ceil(max(convolutions, discs.receptive_radius(len(features))) / 2) + 1


def _pyramid(
  photo: np.ndarray, defocus: np.ndarray, count: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
  """Photograph and defocus at every size, the smallest first; shrunk in linear light."""
  images, signed = [photo], [defocus]
  light = photo
  for i in range(count):
    light, image = (np.asarray(x) for x in _halved(light, decode=i == 0))
    images.append(image)
    signed.append(np.asarray(_half(signed[-1])))
  return images[::-1], signed[::-1]


@functools.partial(jax.jit, static_argnames='radius')
def _nearby(defocus: jax.Array, radius: int) -> jax.Array:
  return discs.nearby_defocus(jnp.asarray(defocus)[None], radius)[0]


@functools.partial(jax.jit, static_argnames=('radius', 'scale'))
def _place(defocus: jax.Array, near: jax.Array, radius: int, scale: int) -> jax.Array:
  """discs.prior_inputs of a level `scale` times as large as the lowest, whose `near` it is told."""
  return discs.prior_inputs(defocus, resize.upsample(near, defocus.shape[:2]), radius, scale)


@functools.partial(jax.jit, static_argnames='decode')
def _halved(light: jax.Array, decode: bool) -> tuple[jax.Array, jax.Array]:
  light = resize.downsample(colour.srgb_to_linear(light) if decode else light, 2)
  return light, colour.linear_to_srgb(light)


@jax.jit
def _half(x: jax.Array) -> jax.Array:
  return resize.downsample(x, 2)


@functools.cache
def compiled(model: LensBlur):
  """The two halves of the network, compiled once for each shape."""

  def upsample(variables, image, blurred, defocus, guide, corner, place):
    arrays = image, blurred, defocus, guide
    return model.apply(variables, *arrays, corner=corner, prior_inputs=place, method='upsample')

  return jax.jit(functools.partial(model.apply, method='blur')), jax.jit(upsample)
