"""Reads photos, mattes and cut-outs; extends colours beneath soft edges of a matte."""

import pathlib

import cv2
import numpy as np
from PIL import Image, ImageOps

from depthjax.files import images
from depthjax.files.errors import InputError

SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff')
OPAQUE = 250  # alpha (of 255) from which a pixel's colour belongs to the foreground alone


def read_photo(path: pathlib.Path, *, side: int) -> np.ndarray:
  """Reads a photo, uint8 sRGB [h w 3], upright, with a long side of at most `side` pixels.

  Raises InputError: as `images.opened`.
  """
  return reduce(_decode(path, 'RGB', side=side), side)


def read_foreground(photo: pathlib.Path, matte: pathlib.Path, *, side: int) -> np.ndarray:
  """Reads a photo and its matte, uint8 [h w 4]: as `complete`.

  Raises ValueError: as `images.opened`; the sizes differ, or no pixel is opaque.
  """
  colour, alpha = _decode(photo, 'RGB'), _decode(matte, 'L')
  if colour.shape[:2] != alpha.shape:
    sizes = [f'{image.shape[1]} x {image.shape[0]}' for image in (alpha, colour)]
    raise InputError(matte, f'is {sizes[0]}, but its photo is {sizes[1]}', 'the same size')
  return complete(colour, alpha, matte, side)


def read_cutout(path: pathlib.Path, *, side: int) -> np.ndarray:
  """Reads an image with alpha, uint8 [h w 4]: as `complete`.

  Raises ValueError: as `images.opened`; no alpha channel, or no pixel is opaque.
  """
  image = _decode(path, 'RGBA')
  return complete(np.ascontiguousarray(image[..., :3]), image[..., 3], path, side)


def reduce(image: np.ndarray, side: int) -> np.ndarray:
  """Reduces an image [h w c] by area to a long side of at most `side` pixels."""
  h, w = image.shape[:2]
  factor = side / max(h, w)
  if factor >= 1:
    return image
  size = max(1, round(w * factor)), max(1, round(h * factor))
  return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def extend_colour(colour: np.ndarray, known: np.ndarray) -> np.ndarray:
  """Extends known colours smoothly to unknown pixels by a push-pull pyramid.

  Known colours are averaged into coarser levels; then each level fills unknown pixels of the finer
  one. Source: Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 4.

  Args:
    colour: uint8 [h w 3]; the result equals it where known.
    known: bool [h w], true at least once.
  """
  weight = known.astype(np.float32)
  levels = [(colour * weight[..., None], weight)]
  while max(levels[-1][1].shape) > 1:
    size = tuple((n + 1) // 2 for n in levels[-1][1].shape[::-1])
    levels.append(tuple(cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in levels[-1]))
  filled = levels[-1][0] / np.maximum(levels[-1][1], 1e-12)[..., None]
  for total, weight in levels[-2::-1]:
    coarse = cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
    coarse = coarse.reshape(*weight.shape, 3)
    mean = total / np.maximum(weight, 1e-12)[..., None]
    fraction = np.minimum(1, 2 * weight)[..., None]  # 1 where half a cell is known
    filled = fraction * mean + (1 - fraction) * coarse
  return np.where(known[..., None], colour, np.rint(filled).clip(0, 255).astype(np.uint8))


def complete(colour: np.ndarray, alpha: np.ndarray, name: str, side: int) -> np.ndarray:
  """Joins colours [h w 3] and straight alpha [h w] into a cut-out, uint8 [h w 4].

  It is reduced to a long side of at most `side` pixels. Colours of opaque pixels are extended to
  all others, so that a soft edge does not show the old background.

  Raises ValueError: no pixel is opaque; `name` names the matte in the message.
  """
  colour, alpha = reduce(colour, side), reduce(alpha, side)
  if not (alpha >= OPAQUE).any():
    raise ValueError(f'{name}: no pixel of the matte is opaque; white (255) must be the foreground')
  return np.dstack([extend_colour(colour, alpha >= OPAQUE), alpha])


def _decode(path, mode, side=None):
  with images.opened(path) as image:
    if mode == 'RGBA' and 'A' not in image.getbands() and 'transparency' not in image.info:
      right = 'an RGBA PNG file, or photos and mattes in the folders photos/ and mattes/'
      raise InputError(path, 'has no alpha channel', right)
    if side is not None:
      image.draft('RGB', (side, side))  # JPEG: decodes at 1/2, 1/4 or 1/8 of the size
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I'):  # 16-bit grey, which Pillow clips to 255
      grey = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
      image = Image.fromarray(grey)
    return np.array(image.convert(mode))
