"""EXIF, XMP, profile and resolution of a photo: read from one file, written into another."""

import logging
import os
import re
from typing import NamedTuple

from PIL import Image

ORIENTATION = 0x0112
PROFILE = 34675
XMP = 700
RESOLUTION = 282, 283, 296  # x, y and unit
GROUPS = 0x8769, 0x8825  # directories of EXIF and of GPS
_WIDTH, _HEIGHT = 0xA002, 0xA003
# Tags of a TIFF file that describe how its own pixels are stored.
_STORAGE = {
  *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 290),
  *(291, 292, 293, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 338, 339, 340),
  *(341, 347, 512, 513, 514, 529, 530, 531, 532, XMP, 34377, PROFILE, ORIENTATION),
}
_LARGEST_XMP = 65502  # bytes: the standard packet of a JPEG
# XMP of depth, motion photos and gain maps, which describes data outside the standard packet.
_BESIDE = re.compile(rb'HasExtendedXMP|//ns\.google\.com/photos/|hdr-?gain-?map|/depthData/', re.I)
_TURNED = re.compile(rb'\s*tiff:Orientation="\d"|<tiff:Orientation>\d</tiff:Orientation>')
_log = logging.getLogger(__name__)


class Metadata(NamedTuple):
  """Metadata of an RGB photo."""

  exif: bytes | None = None  # EXIF without orientation and thumbnail, from PIL.Image.Exif.tobytes.
  profile: bytes | None = None  # ICC profile of an RGB colour space.
  xmp: bytes | None = None  # XMP packet without orientation.
  dpi: tuple[float, float] | None = None  # Horizontal and vertical pixels per inch.


def of_image(image: Image.Image, name: str | os.PathLike, size: tuple[int, int]) -> Metadata:
  """Returns the metadata of a loaded image; `name` is its file, for warnings.

  Orientation, thumbnail and TIFF storage tags are removed: they describe the file that was read.
  `size`, width and height of the upright image, replaces that in EXIF. EXIF that cannot be decoded
  is dropped with a warning, and so is XMP of more than 64 kB or about other data of the file.
  """
  profile = image.info.get('icc_profile')
  if profile:  # without padding, which libpng refuses
    profile = profile[: int.from_bytes(profile[:4], 'big')] if is_rgb(profile) else None
  # Pillow raises errors of many types on damaged tags.
  try:
    exif, dpi = _cleaned(image.getexif(), size), _resolution(image)
  except Exception as error:
    _log.warning('%s: EXIF cannot be read and is dropped (%s)', name, error)
    exif = dpi = None
  return Metadata(exif, profile, _xmp(image, name), dpi)


def _xmp(image: Image.Image, name: str | os.PathLike) -> bytes | None:
  xmp = image.info.get('xmp') or b''
  wrong = f'of {len(xmp)} bytes' if len(xmp) > _LARGEST_XMP else ''
  if _BESIDE.search(xmp):
    wrong = 'about depth, motion or a gain map, which the result does not hold,'
  if wrong:
    _log.warning('%s: XMP %s is dropped', name, wrong)
    return None
  return _TURNED.sub(b'', xmp) or None


def _resolution(image: Image.Image) -> tuple[float, float] | None:
  dpi = tuple(map(float, image.info.get('dpi', ())))
  # Pillow returns 72 for a JPEG with EXIF but without a resolution, and OpenCV writes 1 into TIFF.
  is_invented = image.format == 'JPEG' and not image.info.get('jfif_unit')
  if is_invented and RESOLUTION[0] not in image.getexif():
    return None
  return dpi if len(dpi) == 2 and all(1 < x < 2**16 for x in dpi) else None


def is_rgb(profile: bytes) -> bool:
  """Whether this is a complete ICC profile of an RGB space (ICC.1:2022, section 7.2)."""
  complete = len(profile) >= 132 and int.from_bytes(profile[:4], 'big') <= len(profile)
  return complete and profile[36:40] == b'acsp' and profile[16:20] == b'RGB '


def _cleaned(found: Image.Exif, size: tuple[int, int]) -> bytes | None:
  exif = Image.Exif()
  exif.endian = found.endian
  for tag in found:
    if tag not in _STORAGE and tag not in GROUPS:
      exif[tag] = found[tag]
  for tag in GROUPS:
    values = {k: v for k, v in found.get_ifd(tag).items() if not isinstance(v, dict)}
    values |= {k: v for k, v in zip((_WIDTH, _HEIGHT), size, strict=True) if k in values}
    if values:
      exif[tag] = values
  return exif.tobytes() if len(exif) else None
