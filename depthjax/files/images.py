"""Photos: 8- and 16-bit PNG, JPEG, WebP and TIFF files to float arrays and back."""

import io
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from depthjax.files import metadata
from depthjax.files.atomic import check_output, write_bytes
from depthjax.files.errors import MAX_PIXELS, InputError, check_pixels, readable_file

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.webp', '.tif', '.tiff')
_FORMATS = 'an 8- or 16-bit PNG, JPEG, WebP or TIFF file'
# Constructed directly: Image.open has a pixel limit of its own, a global that warns before ours.
_DECODERS = (
  (rb'\x89PNG\r\n\x1a\n', PngImageFile),
  (rb'\xff\xd8\xff', JpegImageFile),
  (rb'RIFF....WEBP', WebPImageFile),
  (rb'P[56]\s', PpmImageFile),
  (rb'II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]', TiffImageFile),
)
_JPEG = (
  *(cv2.IMWRITE_JPEG_QUALITY, 95),
  *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)
_OPTIONS = {'.jpg': _JPEG, '.jpeg': _JPEG, '.webp': (cv2.IMWRITE_WEBP_QUALITY, 95)}
_NOTHING = metadata.Metadata()
_log = logging.getLogger(__name__)

# Colour profiles: left aside, converted to sRGB, or kept beside colours that stay as stored.
_Profiles = Literal['ignore', 'convert', 'keep']


class Photo(NamedTuple):
  """A photo float32 [h w 3] in [0, 1], upright, and what its file carried beside it."""

  image: np.ndarray
  metadata: metadata.Metadata


def read_photo(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> Photo:
  """Reads a photo that will be written again: as `read_image`, but nothing of its colours is lost.

  Colours stay as stored, and the profile that says what they mean is kept, for `write_image` to
  embed it again: converted to sRGB, a wide gamut would be cut. To blur such values as sRGB is exact
  for Display P3, which has the same transfer curve, and close for Adobe RGB. CMYK alone is
  converted to sRGB. EXIF is kept too, all but orientation and thumbnail.

  Raises:
    InputError: as `read_image`.
  """
  pixels, beside = _read(path, max_pixels, 'keep')
  return Photo(_as_floats(path, pixels), beside)


def read_image(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
  """Reads a photo as float32 [h w 3], sRGB in [0, 1], upright.

  The kind of file is told by its content, not its name. EXIF orientation is applied. Grey becomes
  three equal channels. Alpha is dropped, not composited: the colours are those stored under it.
  An embedded colour profile (Display P3, Adobe RGB, CMYK) is converted to sRGB in 8-bit files;
  in 16-bit ones it is ignored with a warning in the log. Of several pages the first is read.

  Raises:
    InputError: missing, a folder, not such an image, truncated, more than 16 bits, or more than
      `max_pixels` pixels (h * w, read in the header before anything is decoded).
  """
  pixels, _ = _read(path, max_pixels, 'convert')
  return _as_floats(path, pixels)


def _as_floats(path: str | os.PathLike, pixels: np.ndarray) -> np.ndarray:
  if pixels.dtype not in (np.uint8, np.uint16):
    raise InputError(path, f'holds {pixels.dtype} values', _FORMATS)
  image = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
  return np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image


def read_pixels(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
  """Reads the stored values, upright and without alpha: [h w] if grey, else [h w 3] RGB.

  Args:
    path: a PNG, JPEG, WebP or TIFF file.
    max_pixels: limit on h * w, checked on the header before anything is decoded.

  Returns:
    uint8, uint16, int32 or float32 (TIFF), as stored.

  Raises:
    InputError: as `read_image`, but for any number of bits that Pillow reads.
  """
  return _read(path, max_pixels, 'ignore')[0]


def _read(
  path: str | os.PathLike, max_pixels: int, profiles: _Profiles
) -> tuple[np.ndarray, metadata.Metadata]:
  path = readable_file(path)
  with open(path, 'rb') as file:
    head = file.read(32)
    decoder = next((d for pattern, d in _DECODERS if re.match(pattern, head, re.DOTALL)), None)
    if decoder is None:
      kind = ' (it looks like HEIC or AVIF)' if head[4:8] == b'ftyp' else ''
      raise InputError(path, f'is not an image that can be read{kind}', _FORMATS)
    file.seek(0)
    # A broken file can make a decoder raise nearly anything.
    try:
      image = decoder(file)
    except Exception as error:
      raise InputError(path, f'cannot be opened ({error})', _FORMATS) from error
    check_pixels(path, image.height, image.width, max_pixels)
    try:
      return _decode(file, image, head, profiles)
    except MemoryError:
      raise
    except Exception as error:
      wrong = f'is truncated or damaged ({error})'
      raise InputError(path, wrong, f'a complete file: {_FORMATS}') from error


def _decode(
  file: BinaryIO, image: Image.Image, head: bytes, profiles: _Profiles
) -> tuple[np.ndarray, metadata.Metadata]:
  """Stored values of an opened file, upright, and its metadata if they are kept."""
  is_png = isinstance(image, PngImageFile)
  bits = head[24] if is_png else max(getattr(image, 'tag_v2', {}).get(258, (8,)))
  deep_colour = bits == 16 and not image.mode.startswith('I')
  orientation = image.getexif().get(metadata.ORIENTATION, 1) if is_png else 1
  # Also before OpenCV decodes deep colour: of a truncated file it prints lines of its own.
  image.load()
  profile = image.info.get('icc_profile') if profiles != 'ignore' else None
  if profiles == 'keep' and profile and metadata.is_rgb(profile):
    profile = None
  if deep_colour:
    if profile and not _is_srgb(profile):
      _log.warning('%s: the colour profile of a 16-bit image is ignored; taken as sRGB', file.name)
    file.seek(0)
    array = _deep_colour(file.read(), orientation)
  else:
    array = np.asarray(_convert(ImageOps.exif_transpose(image), profile, file.name))
    array = array.astype(array.dtype.newbyteorder('='))
  if profiles != 'keep':
    return array, _NOTHING
  return array, metadata.of_image(image, file.name, array.shape[1::-1])


def _deep_colour(data: bytes, orientation: int) -> np.ndarray:
  """16-bit colours, which Pillow would cut to 8 bits: uint16 [h w 3] or [h w]."""
  array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
  if array is None or array.dtype != np.uint16:
    raise ValueError('16-bit colours cannot be decoded')
  if array.ndim == 3:
    array = array[..., 2::-1] if array.shape[-1] >= 3 else array[..., 0]
  # EXIF 2.3, tag 0x0112: 5 to 8 exchange rows and columns first. OpenCV turns TIFF files itself.
  if orientation >= 5:
    array = array.swapaxes(0, 1)
  if orientation in (3, 4, 7, 8):
    array = array[::-1]
  if orientation in (2, 3, 6, 7):
    array = array[:, ::-1]
  return np.ascontiguousarray(array)


def _convert(image: Image.Image, profile: bytes | None, name: str) -> Image.Image:
  """The picture as grey or RGB without alpha, in sRGB if it has a profile."""
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
      _log.warning('%s: the colour profile is ignored (%s); taken as sRGB', name, error)
  return image.convert('RGB')


def _is_srgb(profile: bytes) -> bool:
  return b'sRGB' in profile or 'sRGB'.encode('utf-16-be') in profile


def write_image(
  path: str | os.PathLike,
  image: np.ndarray,
  *,
  bits: int = 8,
  beside: metadata.Metadata = _NOTHING,
) -> None:
  """Writes an image by the ending of its name: PNG, JPEG, WebP (quality 95) or TIFF.

  Args:
    path: the file; its folder must exist; an existing file is replaced as a whole or not at all.
    image: floats [h w 3], or [h w] or [h w 1] for grey; sRGB in [0, 1], clipped beyond.
    bits: 8, or 16 for PNG and TIFF.
    beside: EXIF and colour profile to embed, of `read_photo`.

  Raises:
    InputError: another ending, a missing folder, 16 bits in a format of 8, integers, NaN or
      infinite values, another shape, too many pixels for the format.
  """
  path = check_output(path, EXTENSIONS)
  check_bits(path, bits)
  image = checked_image(path, image)
  pixels = quantise(image, bits)
  extension = path.suffix.lower()
  data = encode(path, pixels, _OPTIONS.get(extension, ()))
  write_bytes(path, metadata.embed(data, extension, beside), EXTENSIONS)


def check_bits(path: Path, bits: int) -> None:
  """Refuses a depth that a format does not have; call it before long work starts.

  Raises:
    InputError: neither 8 bits, nor 16 bits for PNG or TIFF.
  """
  if bits != 8 and (bits != 16 or path.suffix.lower() not in ('.png', '.tif', '.tiff')):
    raise InputError(path, f'cannot hold {bits} bits', '8 bits, or 16 bits in .png, .tif or .tiff')


def quantise(image: np.ndarray, bits: int = 8) -> np.ndarray:
  """Floats to the nearest of uint8 or uint16, clipped to [0, 1]."""
  levels = np.clip(image.astype(np.float32), 0, 1) * (2**bits - 1)
  return np.rint(levels).astype(np.uint8 if bits == 8 else np.uint16)


def checked_image(path: str | os.PathLike, image: np.ndarray) -> np.ndarray:
  """Returns floats [h w 3], or [h w] for [h w] and [h w 1], once they can be written.

  Raises:
    InputError: integers, NaN or infinite values, another shape.
  """
  image = np.asarray(image)
  if image.ndim == 3 and image.shape[-1] == 1:
    image = image[..., 0]
  if not np.issubdtype(image.dtype, np.floating):
    raise InputError(path, f'would hold {image.dtype} values', 'floats in [0, 1]')
  if not (image.ndim == 2 or image.ndim == 3 and image.shape[-1] == 3) or image.size == 0:
    wrong = f'would hold an array of shape {list(image.shape)}'
    raise InputError(path, wrong, '[h w 3], [h w 1] or [h w]')
  if not np.isfinite(image).all():
    count = np.count_nonzero(~np.isfinite(image))
    raise InputError(path, f'would hold {count} NaN or infinite values', 'finite values in [0, 1]')
  return image


def encode(path: str | os.PathLike, pixels: np.ndarray, options: Sequence[int] = ()) -> bytes:
  """Encodes uint8 or uint16 [h w] or [h w 3] RGB by the ending of `path`.

  `options` are those of cv2.imencode.

  Raises:
    InputError: the format cannot hold so many pixels.
  """
  extension = Path(path).suffix.lower()
  try:
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    done, data = cv2.imencode(extension, bgr, list(options))
  except cv2.error:
    done = False
  if not done:
    h, w = pixels.shape[:2]
    wrong = f'cannot hold {w} x {h} pixels (width x height)'
    raise InputError(path, wrong, 'a smaller image, or .png')
  return data.tobytes()
