"""Learned lens blur on a photograph of any size: a pyramid, upsampled level by level in tiles.

The upsampler processes one tile of a level at a time, so that memory grows only with the arrays of
the photograph itself. Shapes: h w of the photograph.
"""

import functools
import importlib.resources
import itertools
import math
import os
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
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
_CORE = 288


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
  """Blurs the lowest level of a pyramid, then upsamples it guided by each higher level.

  Args:
    learned: see `load`.
    photo: sRGB, float32 [h w 3]; boosted highlights are above 1.
    defocus: signed blur radius in pixels [h w 1].
    count: doublings from the lowest level to the photograph.
    core: result size of a tile in pixels of the lower level, a multiple of 8.

  Returns:
    sRGB float32 [h w 3], not clipped.
  """
  h, w = photo.shape[:2]
  # Replicate padding to a multiple of every stride, as in training.
  multiple = STRIDE * 2**count
  padding = ((0, -h % multiple), (0, -w % multiple), (0, 0))
  images, signed = _pyramid(np.pad(photo, padding, 'edge'), np.pad(defocus, padding, 'edge'), count)
  signed = [x / np.float32(2**count * learned.radius) for x in signed]
  blur, upsample = compiled(learned.model)
  blurred = np.asarray(blur(learned.variables, images[0][None], signed[0][None])[0])
  upsample = functools.partial(upsample, learned.variables)
  brightest = max(1, photo.max())
  margin, near = _head_radius(learned.model), _nearby(signed[0], radius=learned.radius)
  for i in range(count):
    # In OpenCV, whose time does not grow with the area of the window.
    window = np.ones((2 * learned.radius * 2**i + 1,) * 2, np.uint8)
    least = cv2.erode(np.abs(signed[i]), window)[..., None]
    prior = _prior_inputs(signed[i], near, least, radius=learned.radius, scale=2**i)
    blurred = np.clip(blurred, 0, brightest)
    low = np.concatenate([images[i], blurred, signed[i], prior], axis=-1)
    blurred = _doubled(upsample, low, images[i + 1], margin, core)
  return blurred[:h, :w]


def _doubled(upsample, low: np.ndarray, guide: np.ndarray, margin: int, core: int) -> np.ndarray:
  """Upsamples by two: `low` [h w 10] and `guide` [2h 2w 3] -> the blurred picture [2h 2w 3]."""
  # Receptive fields rounded up to the U-Net's grid.
  before, after = (-(-(margin + radius) // STRIDE) * STRIDE for radius in UNET_RADIUS)
  rows, columns = (tiles.spans(n, core, before, after, STRIDE) for n in low.shape[:2])
  result = np.empty(guide.shape, np.float32)
  for tile in itertools.product(rows, columns):
    outer, inner, parts = [], [], []
    for span, n in zip(tile, low.shape[:2], strict=True):
      single = span.stop - span.start == n
      size = n if single else core + before + after
      outer.append(slice(span.outer, span.outer + size))
      # Input of the head: the result and a margin, of constant size, within the frame.
      size = n if single else core + 2 * margin
      start = min(max(span.start - margin, 0), n - size)
      inner.append(slice(start, start + size))
      parts.append(slice(span.start, span.stop))
    corner = tuple(i.start - o.start for i, o in zip(inner, outer, strict=True))
    image, blurred, defocus, prior = np.split(low[*outer][None], (3, 6, 7), axis=-1)
    made = upsample(image, blurred, defocus, guide[*_twice(inner)][None], corner, prior)
    kept = [slice(p.start - i.start, p.stop - i.start) for p, i in zip(parts, inner, strict=True)]
    result[*_twice(parts)] = np.asarray(made[0])[*_twice(kept)]
  return result


def _twice(slices: list[slice]) -> list[slice]:
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
    light, image = (np.asarray(x) for x in _halved(light, decode=i == 0))
    images.append(image)
    signed.append(np.asarray(_half(signed[-1])))
  return images[::-1], signed[::-1]


@functools.partial(jax.jit, static_argnames='radius')
def _nearby(defocus: jax.Array, radius: int) -> jax.Array:
  return discs.nearby_defocus(jnp.asarray(defocus)[None], radius)[0]


@functools.partial(jax.jit, static_argnames=('radius', 'scale'))
def _prior_inputs(
  defocus: jax.Array, near: jax.Array, least: jax.Array, radius: int, scale: int
) -> jax.Array:
  """Inputs of the upsampler's prior at `scale` times the lowest level, of which `near` is."""
  near = resize.upsample(near, defocus.shape[:2])
  return discs.prior_inputs(defocus, near, least, radius, scale)


@functools.partial(jax.jit, static_argnames='decode')
def _halved(light: jax.Array, decode: bool) -> tuple[jax.Array, jax.Array]:
  light = resize.downsample(colour.srgb_to_linear(light) if decode else light, 2)
  return light, colour.linear_to_srgb(light)


_half = jax.jit(functools.partial(resize.downsample, factor=2))


@functools.cache
def compiled(model: LensBlur):
  """The two parts of the network, blur and upsampler, compiled once for each shape."""

  def upsample(variables, image, blurred, defocus, guide, corner, prior):
    arrays = image, blurred, defocus, guide
    return model.apply(variables, *arrays, corner=corner, prior_inputs=prior, method='upsample')

  return jax.jit(functools.partial(model.apply, method='blur')), jax.jit(upsample)
