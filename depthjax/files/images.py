"""Photos: 8- and 16-bit PNG, JPEG, WebP, TIFF, HEIC and AVIF files to float arrays and back."""

import contextlib
import io
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageOps
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from depthjax.files import errors, tiff
from depthjax.files import metadata as metadata_lib
from depthjax.files.atomic import write_bytes
from depthjax.files.encoding import encode
from depthjax.files.endings import EXTENSIONS, check_bits
from depthjax.files.errors import MAX_PIXELS, InputError, check_pixels, decoding, readable_file
from depthjax.files.metadata import Metadata

_FORMATS = 'an 8- or 16-bit PNG, JPEG, WebP or TIFF file'


def _heif(file: IO[bytes]) -> Image.Image:
  with errors.optional(file.name, 'pillow-heif', 'heif'):
    import pillow_heif
  return pillow_heif.HeifImageFile(file)


# Not Image.open, which warns above a global pixel limit before ours is checked.
_DECODERS = (
  (rb'\x89PNG\r\n\x1a\n', PngImageFile),
  (rb'\xff\xd8\xff', JpegImageFile),
  (rb'RIFF....WEBP', WebPImageFile),
  (rb'P[56]\s', PpmImageFile),
  (rb'II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]', TiffImageFile),
  (rb'BM', BmpImageFile),
  (rb'....ftyp(?:avi[fs]|mif1.{4,16}avif)', AvifImageFile),
  (rb'....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)', _heif),
)
# Of Pillow, by the axes after height and width.
_MODES = {(): 'L', (3,): 'RGB', (4,): 'CMYK'}
_NO_METADATA = Metadata()
_log = logging.getLogger(__name__)


class Photo(NamedTuple):
  """An upright photo with what else its file holds."""

  image: np.ndarray  # float32 [h w 3] in [0, 1].
  metadata: Metadata
  alpha: np.ndarray | None  # float32 [h w 1] in [0, 1]; None if the file has no alpha.
  bits: int  # 8 or 16, of the file.


def read_photo(
  path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS, srgb: bool = False
) -> Photo:
  """Reads a photo with its alpha and metadata, for `write_image` to write with the result.

  As `read_image`, except that colours stay as stored and the profile is returned: conversion to
  sRGB would clip wide gamuts. Blurring such values as if they were sRGB is exact for Display P3,
  which has the same transfer curve, and close for Adobe RGB. CMYK is converted to sRGB. With `srgb`
  colours are converted, and there are no metadata.

  Errors as `read_image`.
  """
  pixels, alpha, metadata = _read(path, max_pixels, 'convert' if srgb else 'keep')
  image = _as_floats(path, pixels)
  alpha = None if alpha is None else _as_floats(path, alpha)[..., :1]
  return Photo(image, metadata, alpha, 16 if pixels.dtype == np.uint16 else 8)


def read_image(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
  """Reads a photo as float32 [h w 3], sRGB in [0, 1], upright.

  The format is detected from the content, not from the name. EXIF orientation is applied. Grey
  becomes three equal channels. Alpha is dropped without compositing. An embedded colour profile
  (Display P3, Adobe RGB, CMYK) is converted to sRGB in 8-bit files, and ignored with a warning in
  16-bit files. Of several pages the largest is read.

  Raises InputError: missing, a folder, not such an image, truncated, more than 16 bits, or over
  `max_pixels` pixels (h * w, checked on the header before pixels are decoded).
  """
  return _as_floats(path, _read(path, max_pixels, 'convert')[0])


def read_pixels(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
  """Reads the stored values, upright and without alpha: [h w] if grey, else [h w 3] RGB.

  Values are uint8 or uint16, in TIFF files of any other type; colour profiles are ignored. Errors
  as `read_image`, but any number of bits is accepted.
  """
  return read_layers(path, max_pixels)[0]


def read_layers(path: str | os.PathLike, max_pixels: int) -> tuple[np.ndarray, np.ndarray | None]:
  """As `read_pixels`, and alpha [h w] of the same type; None if the file has no alpha."""
  return _read(path, max_pixels, 'ignore')[:2]


@contextlib.contextmanager
def opened(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
  """Yields an image whose header has been read and checked; decode it inside the block.

  Formats are PNG, JPEG, WebP, TIFF, BMP, PPM, AVIF and HEIC, detected from the content.

  Raises InputError: missing, a folder, not such an image, more than `max_pixels` pixels, or
  truncated: whatever the block raises counts as a decoding error. HEIC without pillow-heif.
  """
  path = readable_file(path)
  with open(path, 'rb') as file:
    head = file.read(32)
    decoder = next((d for pattern, d in _DECODERS if re.match(pattern, head, re.DOTALL)), None)
    if decoder is None:
      tiff.refuse_raw(path)
      raise InputError(path, 'is not an image that can be read', _FORMATS)
    file.seek(0)
    # Decoders raise errors of many types on damaged files.
    try:
      image = decoder(file)
    except InputError:
      raise
    except Exception as error:
      raise InputError(path, f'cannot be opened ({error})', _FORMATS) from error
    check_pixels(path, image.height, image.width, max_pixels)
    with decoding(path, f'a complete file: {_FORMATS}'):
      yield image


def _read(
  path: str | os.PathLike, max_pixels: int, profiles: Literal['ignore', 'convert', 'keep']
) -> tuple[np.ndarray, np.ndarray | None, Metadata]:
  """Values as stored, alpha [h w] or None, both upright; and the metadata, if profiles are kept.

  An embedded profile is ignored, converted to sRGB, or kept: colours stay as stored.
  """
  if tiff.is_tiff(path):
    return _read_tiff(path, max_pixels, profiles)
  with opened(path, max_pixels=max_pixels) as image:
    deep = _is_deep_colour(image)
    # For 16-bit colours too: Pillow refuses truncated files; OpenCV only prints a warning.
    image.load()
    profile = image.info.get('icc_profile') if profiles != 'ignore' else None
    if profiles == 'keep' and profile and metadata_lib.is_rgb(profile):
      profile = None
    if deep:
      if profile and not _is_srgb(profile):
        _log.warning('%s: the colour profile of a 16-bit image is ignored; taken as sRGB', path)
      array, alpha = _deep_colour(path, image)
    else:
      upright = ImageOps.exif_transpose(image)
      array = np.asarray(_convert(upright, profile, path))
      array = array.astype(array.dtype.newbyteorder('='))
      has_alpha = upright.has_transparency_data and array.dtype == np.uint8
      alpha = np.asarray(upright.convert('RGBA').getchannel('A')) if has_alpha else None
    if profiles != 'keep':
      return array, alpha, _NO_METADATA
    return array, alpha, metadata_lib.of_image(image, path, array.shape[1::-1])


def _read_tiff(
  path: str | os.PathLike, max_pixels: int, profiles: Literal['ignore', 'convert', 'keep']
) -> tuple[np.ndarray, np.ndarray | None, Metadata]:
  """As `_read`, for the largest page of a TIFF file; EXIF is that of the first page."""
  page = tiff.read(path, max_pixels)
  array, alpha = (None if x is None else page.levels(x) for x in (page.values, page.alpha))
  profile = page.profile if profiles != 'ignore' else None
  if profiles == 'keep' and profile and metadata_lib.is_rgb(profile):
    profile = None
  if array.shape[2:] == (4,) or array.dtype == np.uint8:
    array = (array >> 8).astype(np.uint8) if array.dtype == np.uint16 else array
    array = np.asarray(_convert(Image.fromarray(array, _MODES[array.shape[2:]]), profile, path))
  elif profile and not _is_srgb(profile):
    _log.warning('%s: the colour profile of a 16-bit image is ignored; taken as sRGB', path)
  if profiles != 'keep':
    return array, alpha, _NO_METADATA
  try:
    with opened(path, max_pixels=max_pixels) as header:
      header.info['icc_profile'] = page.profile
      return array, alpha, metadata_lib.of_image(header, path, array.shape[1::-1])
  except InputError as error:
    _log.warning('%s: EXIF cannot be read and is dropped (%s)', path, error.wrong)
    return array, alpha, Metadata(profile=page.profile)


def _as_floats(path: str | os.PathLike, pixels: np.ndarray) -> np.ndarray:
  if pixels.dtype not in (np.uint8, np.uint16):
    raise InputError(path, f'holds {pixels.dtype} values', _FORMATS)
  image = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
  return np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image


def _is_deep_colour(image: Image.Image) -> bool:
  """Whether an image that is not decoded yet has 16-bit colours; Pillow reduces them to 8 bits."""
  deep = isinstance(image, PngImageFile) and ';16' in str(image.tile[0].args)
  return deep and not image.mode.startswith('I')


def _deep_colour(
  path: str | os.PathLike, image: Image.Image
) -> tuple[np.ndarray, np.ndarray | None]:
  """Decodes 16-bit colours, upright: uint16 [h w 3] or [h w], and alpha [h w] or None."""
  data = np.frombuffer(Path(path).read_bytes(), np.uint8)
  array = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
  if array is None or array.dtype != np.uint16:
    raise ValueError('16-bit colours cannot be decoded')
  array = tiff.upright(array, image.getexif().get(metadata_lib.ORIENTATION))
  if array.ndim == 2:
    return array, None
  alpha = array[..., 3] if array.shape[2] == 4 else None
  return np.ascontiguousarray(array[..., 2::-1]), alpha


def _convert(image: Image.Image, profile: bytes | None, path: str | os.PathLike) -> Image.Image:
  """Converts to grey or RGB without alpha, and from its colour profile to sRGB."""
  if image.mode.startswith('I') or image.mode == 'F':
    return image
  if image.mode in ('1', 'L', 'LA'):
    return image.convert('L')
  if image.mode != 'CMYK':
    image = image.convert('RGB')
  if profile and not _is_srgb(profile):
    try:
      source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
      target = ImageCms.createProfile('sRGB')
      return ImageCms.profileToProfile(image, source, target, outputMode='RGB')
    except (OSError, ImageCms.PyCMSError) as error:
      _log.warning('%s: the colour profile is ignored (%s); taken as sRGB', path, error)
  return image.convert('RGB')


def _is_srgb(profile: bytes) -> bool:
  return b'sRGB' in profile or 'sRGB'.encode('utf-16-be') in profile


def write_image(
  path: str | os.PathLike,
  image: np.ndarray,
  *,
  bits: int = 8,
  metadata: Metadata = _NO_METADATA,
  alpha: np.ndarray | None = None,
) -> None:
  """Writes an image as PNG, JPEG, WebP (both quality 95) or TIFF, by the extension of `path`.

  JPEG holds no alpha: unless it is 1 everywhere, a warning says that it is dropped.

  Args:
    path: the file; its folder must exist; an existing file is replaced atomically.
    image: floats [h w 3], or [h w] or [h w 1] for grey; sRGB in [0, 1], clipped beyond.
    bits: 8, or 16 for PNG and TIFF.
    metadata: EXIF, XMP, resolution and colour profile to embed, from `read_photo`.
    alpha: floats [h w 1] in [0, 1], for an image [h w 3].

  Raises InputError: another extension, a missing folder, 16 bits in JPEG or WebP, integers, NaN or
  infinite values, another shape, too many pixels for the format.
  """
  check_bits(Path(path), bits)
  pixels = quantise(checked_image(path, image), bits)
  if alpha is not None and Path(path).suffix.lower() not in ('.jpg', '.jpeg'):
    pixels = np.concatenate([pixels, quantise(alpha, bits)], axis=-1)
  elif alpha is not None and alpha.min() < 1:
    _log.warning('%s: a JPEG holds no alpha, which is dropped', path)
  write_bytes(path, encode(path, pixels, metadata=metadata), EXTENSIONS)


def quantise(image: np.ndarray, bits: int = 8) -> np.ndarray:
  """Clips floats to [0, 1] and rounds them to uint8 or uint16."""
  levels = np.clip(image.astype(np.float32), 0, 1) * (2**bits - 1)
  return np.rint(levels).astype(np.uint8 if bits == 8 else np.uint16)


def checked_image(path: str | os.PathLike, image: np.ndarray) -> np.ndarray:
  """Checks that an image can be written; returns floats [h w 3], or [h w] if it has one channel.

  Raises InputError: integers, NaN or infinite values, another shape.
  """
  image = np.asarray(image)
  if image.ndim == 3 and image.shape[-1] == 1:
    image = image[..., 0]
  if not np.issubdtype(image.dtype, np.floating):
    raise InputError(path, f'would hold {image.dtype} values', 'floats')
  if image.shape[2:] not in ((), (3,)) or image.ndim < 2 or image.size == 0:
    wrong = f'would hold an array of shape {list(image.shape)}'
    raise InputError(path, wrong, '[h w 3], [h w 1] or [h w]')
  if not np.isfinite(image).all():
    count = np.count_nonzero(~np.isfinite(image))
    raise InputError(path, f'would hold {count} NaN or infinite values', 'finite values')
  return image
