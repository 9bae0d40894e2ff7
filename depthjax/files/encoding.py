"""Pixels and metadata as PNG, JPEG, WebP and TIFF files."""

import io
import logging
import os
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from depthjax.files.errors import InputError
from depthjax.files.metadata import GROUPS, PROFILE, Metadata

_MAX_JPEG_EXIF = 65533  # bytes: a segment stores its length, 2 bytes included, in 16 bits
_STRIP_OFFSETS = 273  # TIFF tag
_NO_METADATA = Metadata()
_log = logging.getLogger(__name__)


def encode(
  path: str | os.PathLike,
  pixels: np.ndarray,
  *,
  quality: int = 95,
  metadata: Metadata = _NO_METADATA,
) -> bytes:
  """Encodes pixels by the extension of `path`: .png, .jpg, .jpeg, .webp, .tif or .tiff.

  JPEG and WebP are written by Pillow; PNG and TIFF by OpenCV, since Pillow writes no 16-bit RGB.
  Metadata that the format cannot hold are dropped with a warning.

  Pixels are uint8 or uint16 (PNG and TIFF) [h w] or [h w 3] RGB. `quality` is that of JPEG (without
  chroma subsampling) and WebP.

  Raises InputError: the format cannot hold so many pixels.
  """
  extension = Path(path).suffix.lower()
  try:
    if extension in ('.jpg', '.jpeg'):
      metadata = _fit_jpeg(path, metadata)
      return _with_pillow('JPEG', pixels, metadata, quality=quality, subsampling=0)
    if extension == '.webp':
      return _with_pillow('WEBP', pixels, metadata, quality=quality)
    if extension == '.png':
      return _png(path, pixels, metadata)
    data = _with_opencv('.tif', pixels)
    return _add_to_tiff(data, metadata) if any(metadata) else data
  except (OSError, ValueError, cv2.error) as error:
    h, w = pixels.shape[:2]
    wrong = f'cannot hold {w} x {h} pixels (width x height)'
    raise InputError(path, wrong, 'a smaller image, or .png') from error


def _fit_jpeg(path: str | os.PathLike, metadata: Metadata) -> Metadata:
  size = len(metadata.exif or b'')
  if size <= _MAX_JPEG_EXIF:
    return metadata
  _log.warning('%s: EXIF of %d bytes does not fit into a JPEG and is dropped', path, size)
  return metadata._replace(exif=None)


def _with_pillow(kind: str, pixels: np.ndarray, metadata: Metadata, **options) -> bytes:
  file = io.BytesIO()
  options |= {'exif': metadata.exif or b'', 'icc_profile': metadata.profile}
  Image.fromarray(pixels).save(file, kind, **options)
  return file.getvalue()


def _with_opencv(extension: str, pixels: np.ndarray, metadata: Metadata = _NO_METADATA) -> bytes:
  exif = (metadata.exif or b'').removeprefix(b'Exif\0\0')  # A prefix of JPEG only.
  chunks = {cv2.IMAGE_METADATA_EXIF: exif, cv2.IMAGE_METADATA_ICCP: metadata.profile}
  chunks = {kind: np.frombuffer(data, np.uint8) for kind, data in chunks.items() if data}
  bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
  done, data = cv2.imencodeWithMetadata(extension, bgr, list(chunks), list(chunks.values()))
  if not done:
    raise ValueError('OpenCV refuses the image')
  return data.tobytes()


def _png(path: str | os.PathLike, pixels: np.ndarray, metadata: Metadata) -> bytes:
  try:
    return _with_opencv('.png', pixels, metadata)
  except (ValueError, cv2.error):
    if not metadata.profile:
      raise
    data = _with_opencv('.png', pixels, metadata._replace(profile=None))
    _log.warning('%s: libpng refuses the colour profile, which is dropped', path)
    return data


def _add_to_tiff(data: bytes, metadata: Metadata) -> bytes:
  """Inserts metadata into a TIFF file.

  OpenCV writes no metadata into TIFF files, and Pillow cannot write 16-bit RGB. So the tag
  directory is written again, between the header and the rest of the file.
  """
  exif = Image.Exif()
  exif.load(metadata.exif or b'')
  with TiffImageFile(io.BytesIO(data)) as image:
    tags = ImageFileDirectory_v2(ifh=data[:8])
    for tag in exif:
      tags[tag] = exif.get_ifd(tag) if tag in GROUPS else exif[tag]
    if metadata.profile:
      tags.tagtype[PROFILE] = 7  # undefined bytes
      tags[PROFILE] = metadata.profile
    for tag, value in image.tag_v2.items():
      tags.tagtype[tag] = image.tag_v2.tagtype[tag]
      tags[tag] = value
    # Pillow counts them from the end of the new directory; the pixels started after 8 bytes.
    tags[_STRIP_OFFSETS] = tuple(offset - 8 for offset in image.tag_v2[_STRIP_OFFSETS])
    header = data[:4] + struct.pack('>I' if data[:2] == b'MM' else '<I', 8)
    return header + tags.tobytes(8) + data[8:]
