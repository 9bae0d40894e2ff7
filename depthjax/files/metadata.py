"""EXIF and colour profile of a photo: read from one file, to be written into another."""

import logging
import os
from typing import NamedTuple

from PIL import Image

ORIENTATION = 0x0112
PROFILE = 34675
GROUPS = 0x8769, 0x8825  # directories of EXIF and of GPS
_WIDTH, _HEIGHT = 0xA002, 0xA003
# Tags of a TIFF file that describe how its own pixels are stored.
_STORAGE = {
  *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 290),
  *(291, 292, 293, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 338, 339, 340),
  *(341, 347, 512, 513, 514, 529, 530, 531, 532, 34377, PROFILE, ORIENTATION),
}
_log = logging.getLogger(__name__)


class Metadata(NamedTuple):
  """Metadata of an RGB photo."""

  exif: bytes | None = None  # EXIF without orientation and thumbnail, from PIL.Image.Exif.tobytes.
  profile: bytes | None = None  # ICC profile of an RGB colour space.


def of_image(image: Image.Image, name: str | os.PathLike, size: tuple[int, int]) -> Metadata:
  """Returns the metadata of a loaded image; `name` is its file, for warnings.

  Orientation, thumbnail and TIFF storage tags are removed: they describe the file that was read.
  `size`, width and height of the upright image, replaces that in EXIF. EXIF that cannot be decoded
  is dropped with a warning.
  """
  profile = image.info.get('icc_profile')
  if profile:  # without padding, which libpng refuses
    profile = profile[: int.from_bytes(profile[:4], 'big')] if is_rgb(profile) else None
  # Pillow raises errors of many types on damaged tags.
  try:
    exif = _cleaned(image.getexif(), size)
  except Exception as error:
    _log.warning('%s: EXIF cannot be read and is dropped (%s)', name, error)
    exif = None
  return Metadata(exif, profile)


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
