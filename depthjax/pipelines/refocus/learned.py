"""Learned lens blur on a photograph of any size: a pyramid, upsampled level by level in tiles.

The upsampler processes one tile of a level at a time, so that memory grows only with the arrays of
the photograph itself. Shapes: h w of the photograph.
"""

import functools
import importlib.resources
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import jax
import numpy as np

from depthjax.files import weights
from depthjax.models.deeplens import discs
from depthjax.models.deeplens.lensblur import LensBlur, from_config
from depthjax.models.deeplens.upsampler import Upsampler
from depthjax.ops import colour, resize
from depthjax.pipelines import tiles

# Long side of the lowest level and smallest short side of an upsampled one, px.
_LONG_SIDE, _SMALLEST = 320, 16
# Total stride of the U-Net: tiles start at its multiples, so that they share the frame's grid.
STRIDE = 8
# Receptive field of the U-Net before and after a pixel, measured.
UNET_RADIUS = (38, 45)
# Result size of a tile in pixels of the lower level. With the release preset, peak memory is 1.3 GB
# for 2048 x 1365 pixels, and 2.6 GB for 24 megapixels (0.6 of it the photograph and its result).
_CORE = 280
# Network inputs smaller than a tile are padded to multiples of this, so that few programs are
# compiled for pictures of many sizes.
_BUCKET = 128


class Learned(NamedTuple):
  """A trained lens blur network with its variables."""

  model: LensBlur
  variables: dict[str, Any]
  radius: int  # Largest blur radius in pixels of the lowest level: `render.radius` of the run.


def load(path: str | os.PathLike) -> Learned:
  """Loads the renderer from a run's folder or a weights.safetensors file.

  Raises:
    files.errors.InputError: the file cannot be read or holds weights of another task.
  """
  model, variables = weights.load_network(path, {'lensblur': from_config})
  return Learned(model, variables, model.radius)


def builtin() -> Learned:
  """Loads the renderer that is part of the package, see docs/models/lensblur.md."""
  return load(importlib.resources.files('depthjax') / 'pretrained' / 'lensblur.safetensors')


def doublings(shape: tuple[int, int], radius: float, largest: int) -> int:
  """Number of doublings from the lowest level to a photograph of (h, w) pixels.

  The lowest level has a long side of about 320 pixels, or less where the blur would exceed
  `largest` pixels there, but a short side of at least 16.

  Raises:
    ValueError: the blur radius is too large for the smallest possible level.
  """
  usual = round(math.log2(max(shape) / _LONG_SIDE))
  needed = math.ceil(math.log2(radius / largest) - 1e-6)
  at_most = largest_radius(shape, largest)
  most = round(math.log2(at_most / largest))
  if needed > most:
    raise ValueError(
      f'a blur radius of {radius:.4g} pixels is too large for a photograph of '
      f'{shape[1]} x {shape[0]}; at most {at_most} pixels'
    )
  return max(0, needed, min(usual, most))


def largest_radius(shape: tuple[int, int], largest: int) -> int:
  """The largest radius that `doublings` allows; arguments as there."""
  return largest * 2 ** max(0, math.floor(math.log2(min(shape) / _SMALLEST)))


def render(
  learned: Learned,
  photo: np.ndarray,
  defocus: np.ndarray,
  count: int,
  core: int = _CORE,
  *,
  wanted: np.ndarray | None = None,
  done: Callable[[float], None] = lambda _: None,
) -> np.ndarray:
  """Blurs the lowest level of a pyramid, then upsamples it guided by each higher level.

  Args:
    learned: see `load`.
    photo: sRGB, float32 [h w 3]; boosted highlights are above 1.
    defocus: signed blur radius in pixels [h w 1].
    count: doublings from the lowest level to the photograph.
    core: result size of a tile in pixels of the lower level, a multiple of 8.
    wanted: bool [h w 1]; without a True pixel, a tile may be left 0. Default: all are rendered.
    done: called after each step with its fraction of the work.

  Returns:
    sRGB float32 [h w 3], not clipped.
  """
  h, w = photo.shape[:2]
  # Replicate padding to a multiple of every stride, as in training.
  multiple = STRIDE * 2**count
  padding = ((0, -h % multiple), (0, -w % multiple), (0, 0))
  images, signed = _pyramid(np.pad(photo, padding, 'edge'), np.pad(defocus, padding, 'edge'), count)
  signed = [x / np.float32(2**count * learned.radius) for x in signed]
  margin = _head_radius(learned.model)
  every = _tiles([x.shape for x in images[:-1]], margin, core, wanted)
  step = functools.partial(done, 1 / (1 + sum(map(len, every))))
  blur, upsample = compiled(learned.model)
  rows, columns = images[0].shape[:2]
  frame = slice(0, _bucket(rows)), slice(0, _bucket(columns))
  low = [_cropped(x[0], frame)[None] for x in (images, signed)]
  results = blur(learned.variables, *low), _nearby(low[1], radius=learned.radius)
  blurred, near = (np.asarray(x)[0, :rows, :columns] for x in results)
  step()
  upsample = functools.partial(upsample, learned.variables)
  brightest = max(1, photo.max())
  for i, found in enumerate(every):
    prior = _prior_inputs(signed[i], near, radius=learned.radius, scale=2**i)
    low = np.concatenate([images[i], np.clip(blurred, 0, brightest), signed[i], prior], axis=-1)
    blurred = _doubled(upsample, low, images[i + 1], found, step)
  return blurred[:h, :w]


def _doubled(upsample, low: np.ndarray, guide: np.ndarray, found, step) -> np.ndarray:
  """Upsamples by two: `low` [h w 10] and `guide` [2h 2w 3] -> the blurred picture [2h 2w 3]."""
  result = np.zeros(guide.shape, np.float32)
  for outer, inner, part in found:
    corner = tuple(i.start - o.start for i, o in zip(inner, outer, strict=True))
    image, blurred, defocus, prior = np.split(_cropped(low, outer)[None], (3, 6, 7), axis=-1)
    sharp = _cropped(guide, _twice(inner))[None]
    made = np.asarray(upsample(image, blurred, defocus, sharp, corner, prior)[0])
    kept = [slice(p.start - i.start, p.stop - i.start) for p, i in zip(part, inner, strict=True)]
    tiles.put(result, [2 * p.start for p in part], made[*_twice(kept)])
    step()
  return result


def _tiles(
  shapes: Sequence[tuple[int, ...]], margin: int, core: int, wanted: np.ndarray | None
) -> list[list[tuple[tuple[slice, ...], ...]]]:
  """The tiles of each level, the lowest first, from its shapes [h w ...] before upsampling.

  A tile is three pairs of slices, for rows and columns: the inputs of the U-Net and of the head,
  and the result. With `wanted`, only tiles with one of its pixels, and those that they depend on.
  """
  result = []
  for shape in reversed(shapes):
    rows, columns = (_spans(n, margin, core) for n in shape[:2])
    found = [tuple(zip(*pair, strict=True)) for pair in itertools.product(rows, columns)]
    if wanted is not None:
      found = [tile for tile in found if wanted[*_twice(tile[2])].any()]
      wanted = np.zeros(shape[:2], bool)
      for outer, *_ in found:
        wanted[*outer] = True
    result.append(found)
  return result[::-1]


def _spans(length: int, margin: int, core: int) -> Iterator[tuple[slice, ...]]:
  """The tiles of an axis: slices of the inputs of the U-Net and the head, and of the result."""
  # Receptive fields rounded up to the U-Net's grid.
  around = [-(-(margin + radius) // STRIDE) * STRIDE for radius in UNET_RADIUS]
  if length <= core + sum(around):
    length = core = _bucket(length)
  # Of constant size, within the frame.
  outer, inner = (min(length, core + n) for n in (sum(around), 2 * margin))
  for span in tiles.spans(length, core, *around, STRIDE):
    start = min(max(span.start - margin, 0), length - inner)
    sizes = ((span.outer, outer), (start, inner), (span.start, core))
    yield tuple(slice(first, first + size) for first, size in sizes)


def _bucket(length: int) -> int:
  return -(-length // _BUCKET) * _BUCKET


def _cropped(x: np.ndarray, part: Sequence[slice]) -> np.ndarray:
  """A part of [h w c], which may end beyond it, padded symmetrically."""
  x = x[*part]
  sizes = [(0, s.stop - s.start - n) for s, n in zip(part, x.shape, strict=False)]
  return np.pad(x, (*sizes, (0, 0)), 'symmetric')


def _twice(slices: Sequence[slice]) -> list[slice]:
  return [slice(2 * part.start, 2 * part.stop) for part in slices]


def _head_radius(model: LensBlur) -> int:
  """Receptive field radius of the upsampler's head, in pixels of the lower level."""
  features = model.upsampler_features or Upsampler.features
  convolutions = 6  # 3 x 3: one after upsampling, five for the weights.
  # Bilinear upsampling adds one pixel.
  return math.ceil(max(convolutions, discs.receptive_radius(len(features))) / 2) + 1


def _pyramid(
  photo: np.ndarray, defocus: np.ndarray, count: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
  """Photograph and defocus at every level, the smallest first; averaged in linear light."""
  images, signed, light = [photo], [defocus], photo
  for i in range(count):
    halved = functools.partial(_halved, decode=i == 0)
    light, image, half = tiles.blockwise(halved, light, signed[-1])
    images.append(image)
    signed.append(half)
  return images[::-1], signed[::-1]


@functools.partial(jax.jit, static_argnames='decode')
def _halved(light: jax.Array, defocus: jax.Array, decode: bool) -> tuple[jax.Array, ...]:
  light = resize.downsample(colour.srgb_to_linear(light) if decode else light, 2)
  return light, colour.linear_to_srgb(light), resize.downsample(defocus, 2)


def _prior_inputs(defocus: np.ndarray, near: np.ndarray, radius: int, scale: int) -> np.ndarray:
  """Inputs of the upsampler's prior at `scale` times the lowest level, of which `near` is."""
  near = cv2.resize(near, defocus.shape[1::-1], interpolation=cv2.INTER_LINEAR)[..., None]
  # As discs.least_defocus, for windows that grow with the level.
  window = np.ones((2 * radius * scale + 1,) * 2, np.uint8)
  least = cv2.erode(np.abs(defocus), window)[..., None]
  function = functools.partial(_compiled_prior, radius=radius, scale=np.float32(scale))
  return tiles.blockwise(function, defocus, near, least)


_nearby = jax.jit(discs.nearby_defocus, static_argnames='radius')
_compiled_prior = jax.jit(discs.prior_inputs, static_argnames='radius')


@functools.cache
def compiled(model: LensBlur):
  """The two parts of the network, blur and upsampler, compiled once for each shape."""

  def upsample(variables, image, blurred, defocus, guide, corner, prior):
    arrays = image, blurred, defocus, guide
    return model.apply(variables, *arrays, corner=corner, prior_inputs=prior, method='upsample')

  return jax.jit(functools.partial(model.apply, method='blur')), jax.jit(upsample)
