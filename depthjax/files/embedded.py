"""Depth that portrait modes store inside a photo: GDepth in a JPEG, or a depth image in a HEIC."""

import base64
import io
import os
import re
from pathlib import Path

import numpy as np
from PIL import Image

from depthjax.files import errors
from depthjax.files.errors import MAX_PIXELS, InputError, check_pixels, decoding
from depthjax.files.images import opened
from depthjax.files.metadata import ORIENTATION
from depthjax.files.tiff import upright

_RIGHT = 'a depth map as DEPTH, --predictor=NAME, or a portrait-mode photo that contains one'
_XMP = b'http://ns.adobe.com/xap/1.0/\0'
_EXTENSION = b'http://ns.adobe.com/xmp/extension/\0'
# An attribute or an element: its name and value.
_FIELD = rb'(?<!/)GDepth:(\w+)(?:\s*=\s*["\']|>)([^"\'<>]*)'
_DEPTH_TYPE = 2  # Of the depth representations of HEVC; in the others near is large.


def read(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, str]:
  """Reads the depth inside a photo: float32 [h w], upright as the photo is, and its convention.

  In a JPEG it is GDepth (developers.google.com/depthmap-metadata): RangeInverse becomes disparity,
  RangeLinear depth, both in the unit of Near and Far.

  Raises InputError: none inside, damaged, too many pixels, or pillow-heif is not installed.
  """
  path = Path(path)
  with open(errors.readable_file(path), 'rb') as file:
    is_heif = file.read(12)[4:8] == b'ftyp'
  return (_of_heif if is_heif else _of_jpeg)(path, max_pixels)


def _of_jpeg(path: Path, max_pixels: int) -> tuple[np.ndarray, str]:
  with opened(path, max_pixels=max_pixels) as photo:
    orientation = photo.getexif().get(ORIENTATION)
    fields = dict(re.findall(_FIELD, _xmp(photo)))
  with decoding(path, 'complete GDepth metadata'):
    if b'Data' not in fields:
      raise InputError(path, 'has no depth map inside', _RIGHT)
    # Google's camera omits the padding; more than needed does no harm.
    file = io.BytesIO(base64.b64decode(fields[b'Data'] + b'=='))
    with Image.open(file, formats=('JPEG', 'PNG')) as image:
      check_pixels(path, image.height, image.width, max_pixels)
      deep = image.mode.startswith('I')  # A PNG of 16 bits.
      levels = np.asarray(image if deep else image.convert('L'))
    values = upright(levels / np.float32(65535 if deep else 255), orientation)
    near, far = (float(fields.get(name, 0)) for name in (b'Near', b'Far'))
    return _of_range(values, near, far, linear=fields.get(b'Format') == b'RangeLinear')


def _xmp(photo: Image.Image) -> bytes:
  """The XMP of a JPEG; its extension is joined from its parts."""
  segments = [segment for _, segment in getattr(photo, 'applist', ())]
  # After the name: identifier, size, offset of the part, and the part from byte 40 on.
  parts = sorted(x[len(_EXTENSION) :] for x in segments if x.startswith(_EXTENSION))
  return b''.join([x for x in segments if x.startswith(_XMP)] + [part[40:] for part in parts])


def _of_heif(path: Path, max_pixels: int) -> tuple[np.ndarray, str]:
  with errors.optional(path, 'pillow-heif', 'heif'):
    import pillow_heif
  with decoding(path, 'a complete HEIC file'):
    image = pillow_heif.open_heif(path, convert_hdr_to_8bit=False)
    found = image.info.get('depth_images')
    if not found:
      raise InputError(path, 'has no depth map inside', _RIGHT)
    w, h = found[0].size
    check_pixels(path, h, w, max_pixels)
    levels = np.asarray(found[0]).reshape(h, w, -1)[..., 0]  # Upright already.
    values = levels / np.float32(np.iinfo(levels.dtype).max)
    metadata = found[0].info.get('metadata') or {}
    if metadata.get('representation_type') != _DEPTH_TYPE:
      return values, 'disparity'
    return _of_range(values, metadata.get('z_near', 0), metadata.get('z_far', 0), linear=True)


def _of_range(
  values: np.ndarray, near: float, far: float, *, linear: bool
) -> tuple[np.ndarray, str]:
  """Values from 0 (near) to 1 (far) as depth or disparity; without a range, as 1 - values."""
  if not 0 < near < far < np.inf:
    return 1 - values, 'disparity'
  if linear:
    return near + values * (far - near), 'depth'
  return 1 / near - values * (1 / near - 1 / far), 'disparity'
