"""Pixels and metadata as PNG, JPEG, WebP and TIFF files."""

import io
import logging
import os
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, PngImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from depthjax.files.errors import InputError
from depthjax.files.metadata import GROUPS, PROFILE, RESOLUTION, XMP, Metadata

_MAX_JPEG_EXIF = 65533  # bytes: a segment stores its length, 2 bytes included, in 16 bits
_STRIP_OFFSETS, _EXTRA_SAMPLES = 273, 338  # TIFF tags
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

  Pixels are uint8 or uint16 (PNG and TIFF) [h w], [h w 3] RGB or [h w 4] with alpha (not JPEG), or
  float32 [h w] (TIFF). `quality` is that of JPEG (without chroma subsampling) and WebP.

  Raises InputError: the format cannot hold so many pixels.
  """
  extension = Path(path).suffix.lower()
  try:
    if extension in ('.jpg', '.jpeg'):
      metadata = _fit_jpeg(path, metadata)
      return _with_pillow('JPEG', pixels, metadata, quality=quality, subsampling=0)
    if extension == '.webp':
      # exact: keeps colours where alpha is 0.
      return _with_pillow('WEBP', pixels, metadata, quality=quality, exact=True)
    if extension == '.png':
      return _png(path, pixels, metadata)
    data, has_alpha = _with_opencv('.tif', pixels), pixels.shape[2:] == (4,)
    return _add_to_tiff(data, has_alpha, metadata) if has_alpha or any(metadata) else data
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
  options |= {'xmp': metadata.xmp or b'', 'dpi': metadata.dpi or (0, 0)}
  Image.fromarray(pixels).save(file, kind, **options)
  return file.getvalue()


def _with_opencv(extension: str, pixels: np.ndarray, metadata: Metadata = _NO_METADATA) -> bytes:
  exif = (metadata.exif or b'').removeprefix(b'Exif\0\0')  # A prefix of JPEG only.
  chunks = {cv2.IMAGE_METADATA_EXIF: exif, cv2.IMAGE_METADATA_ICCP: metadata.profile}
  chunks = {kind: np.frombuffer(data, np.uint8) for kind, data in chunks.items() if data}
  c = pixels.shape[2] if pixels.ndim == 3 else 1
  bgr = pixels[..., [2, 1, 0, 3][:c]] if c > 1 else pixels
  done, data = cv2.imencodeWithMetadata(extension, bgr, list(chunks), list(chunks.values()))
  if not done:
    raise ValueError('OpenCV refuses the image')
  return data.tobytes()


def _png(path: str | os.PathLike, pixels: np.ndarray, metadata: Metadata) -> bytes:
  try:
    return _add_to_png(_with_opencv('.png', pixels, metadata), metadata)
  except (ValueError, cv2.error):
    if not metadata.profile:
      raise
    data = _with_opencv('.png', pixels, metadata._replace(profile=None))
    _log.warning('%s: libpng refuses the colour profile, which is dropped', path)
    return _add_to_png(data, metadata)


def _add_to_png(data: bytes, metadata: Metadata) -> bytes:
  """Inserts resolution and XMP: OpenCV writes no resolution, and bytes of its memory after XMP."""
  chunks = io.BytesIO()
  if metadata.dpi:
    per_metre = (round(dpi / 0.0254) for dpi in metadata.dpi)
    PngImagePlugin.putchunk(chunks, b'pHYs', struct.pack('>IIB', *per_metre, 1))
  if metadata.xmp:
    PngImagePlugin.putchunk(chunks, b'iTXt', b'XML:com.adobe.xmp', bytes(5), metadata.xmp)
  return data[:33] + chunks.getvalue() + data[33:]  # After the signature and the chunk IHDR.


def _add_to_tiff(data: bytes, has_alpha: bool, metadata: Metadata) -> bytes:
  """Inserts metadata into a TIFF file, and that its fourth channel is alpha.

  OpenCV writes no metadata into TIFF files, and Pillow cannot write 16-bit RGB. So the tag
  directory is written again, between the header and the rest of the file.
  """
  exif = Image.Exif()
  exif.load(metadata.exif or b'')
  with TiffImageFile(io.BytesIO(data)) as image:
    tags = ImageFileDirectory_v2(ifh=data[:8])
    for tag in exif:
      tags[tag] = exif.get_ifd(tag) if tag in GROUPS else exif[tag]
    for tag, value in ((PROFILE, metadata.profile), (XMP, metadata.xmp)):
      if value:
        tags.tagtype[tag] = 7  # undefined bytes
        tags[tag] = value
    for tag, value in image.tag_v2.items():
      tags.tagtype[tag] = image.tag_v2.tagtype[tag]
      tags[tag] = value
    if metadata.dpi:
      tags.update(zip(RESOLUTION, (*metadata.dpi, 2), strict=True))  # 2: per inch
    if has_alpha:
      tags[_EXTRA_SAMPLES] = 2  # unassociated alpha
    # Pillow counts them from the end of the new directory; the pixels started after 8 bytes.
    tags[_STRIP_OFFSETS] = tuple(offset - 8 for offset in image.tag_v2[_STRIP_OFFSETS])
    header = data[:4] + struct.pack('>I' if data[:2] == b'MM' else '<I', 8)
    return header + tags.tobytes(8) + data[8:]
