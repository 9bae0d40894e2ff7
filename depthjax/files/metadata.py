"""What a photo carries beside its pixels: EXIF and colour profile, out of one file into another."""

import io
import logging
import os
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

ORIENTATION = 0x0112
_PROFILE, _EXIF, _GPS = 34675, 0x8769, 0x8825
_STRIPS = 273
_WIDTH, _HEIGHT = 0xA002, 0xA003
# Of a TIFF file's tags these say how its own pixels are stored; they would be wrong elsewhere.
_STORAGE = {
  *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 290),
  *(291, 292, 293, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 338, 339, 340),
  *(341, 347, 512, 513, 514, 529, 530, 531, 532, 34377, _PROFILE, ORIENTATION),
}
# A segment of a JPEG counts its bytes, and the two of the count, in 16 bits.
_SEGMENT = 65533
_log = logging.getLogger(__name__)


class Metadata(NamedTuple):
  """EXIF as a block of TIFF tags, without an orientation; an ICC profile of RGB colours."""

  exif: bytes | None = None
  profile: bytes | None = None


def of_image(image: Image.Image, name: str | os.PathLike, size: tuple[int, int]) -> Metadata:
  """The metadata of a loaded image whose upright size is (width, height).

  The orientation goes, as the pixels are upright; so do thumbnails, which show another picture,
  and what a TIFF file says of its own storage. What cannot be read is left out with a warning.
  """
  profile = image.info.get('icc_profile')
  if profile and not is_rgb(profile):
    profile = None  # Of greys, or CMYK that has become sRGB; of a damaged one the reader warns.
  # A damaged tag can make Pillow raise nearly anything.
  try:
    exif = _cleaned(image.getexif(), size)
  except Exception as error:
    _log.warning('%s: its EXIF cannot be read and is left out (%s)', name, error)
    exif = None
  return Metadata(exif, profile)


def is_rgb(profile: bytes) -> bool:
  """Whether this is an ICC profile of RGB colours (ICC.1:2022, section 7.2)."""
  complete = len(profile) >= 132 and int.from_bytes(profile[:4], 'big') <= len(profile)
  return complete and profile[36:40] == b'acsp' and profile[16:20] == b'RGB '


def embed(data: bytes, extension: str, metadata: Metadata) -> bytes:
  """The file `data`, as OpenCV encodes it, with metadata; `extension` is .png, .jpg and so on."""
  if metadata.exif is None and metadata.profile is None:
    return data
  return _EMBED[extension](data, metadata)


def _cleaned(found: Image.Exif, size: tuple[int, int]) -> bytes | None:
  exif = Image.Exif()
  exif.endian = found.endian
  for tag in found:
    if tag not in _STORAGE and tag not in (_EXIF, _GPS):
      exif[tag] = found[tag]
  for tag in (_EXIF, _GPS):
    values = {key: value for key, value in found.get_ifd(tag).items() if not _is_group(value)}
    values.update(
      (key, at) for key, at in zip((_WIDTH, _HEIGHT), size, strict=True) if key in values
    )
    if values:
      exif[tag] = values
  return exif.tobytes().removeprefix(b'Exif\0\0') if len(exif) else None


def _is_group(value) -> bool:
  return isinstance(value, dict)


def _png(data: bytes, metadata: Metadata) -> bytes:
  head = 8 + 25  # The signature and the chunk IHDR; the profile must come before the pixels.
  chunks = b''
  if metadata.profile:
    chunks += _chunk(b'iCCP', b'ICC profile\0\0' + zlib.compress(metadata.profile))
  if metadata.exif:
    chunks += _chunk(b'eXIf', metadata.exif)
  return data[:head] + chunks + data[head:]


def _chunk(kind: bytes, content: bytes) -> bytes:
  return (
    struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))
  )


def _jpeg(data: bytes, metadata: Metadata) -> bytes:
  segments = b''
  if metadata.exif:
    content = b'Exif\0\0' + metadata.exif
    if len(content) > _SEGMENT:
      _log.warning('EXIF of %d bytes does not fit into a JPEG and is left out', len(content))
    else:
      segments += _segment(0xE1, content)
  if metadata.profile:
    share = _SEGMENT - 14
    parts = [metadata.profile[i : i + share] for i in range(0, len(metadata.profile), share)]
    for i, part in enumerate(parts):
      segments += _segment(0xE2, b'ICC_PROFILE\0' + bytes((i + 1, len(parts))) + part)
  # After JFIF's own segment, which has to be the first.
  place = 2
  if data[2:4] == b'\xff\xe0':
    place += 2 + int.from_bytes(data[4:6], 'big')
  return data[:place] + segments + data[place:]


def _segment(marker: int, content: bytes) -> bytes:
  return struct.pack('>BBH', 0xFF, marker, len(content) + 2) + content


def _webp(data: bytes, metadata: Metadata) -> bytes:
  """The simple format becomes the extended one (RFC 9649, section 2.7)."""
  with Image.open(io.BytesIO(data)) as image:
    width, height = image.size
  flags = (0x20 if metadata.profile else 0) | (0x08 if metadata.exif else 0)
  head = bytes((flags, 0, 0, 0)) + (width - 1).to_bytes(3, 'little')
  content = b'WEBP' + _riff(b'VP8X', head + (height - 1).to_bytes(3, 'little'))
  if metadata.profile:
    content += _riff(b'ICCP', metadata.profile)
  content += data[12:]
  if metadata.exif:
    content += _riff(b'EXIF', metadata.exif)
  return b'RIFF' + struct.pack('<I', len(content)) + content


def _riff(kind: bytes, content: bytes) -> bytes:
  return kind + struct.pack('<I', len(content)) + content + bytes(len(content) % 2)


def _tiff(data: bytes, metadata: Metadata) -> bytes:
  """A new directory of tags between the header and all that follows it."""
  with TiffImageFile(io.BytesIO(data)) as image:
    stored = image.tag_v2
    tags = ImageFileDirectory_v2(ifh=data[:8])
    if metadata.exif:
      exif = Image.Exif()
      exif.load(metadata.exif)
      for tag in exif:
        tags[tag] = exif.get_ifd(tag) if tag in (_EXIF, _GPS) else exif[tag]
    if metadata.profile:
      tags.tagtype[_PROFILE] = 7  # Bytes of no type.
      tags[_PROFILE] = metadata.profile
    for tag in stored:
      tags.tagtype[tag] = stored.tagtype[tag]
      tags[tag] = stored[tag]
    # Pillow takes them from the end of what it writes; they are where the old header ended.
    tags[_STRIPS] = tuple(place - 8 for place in stored[_STRIPS])
  return (
    data[:4]
    + struct.pack(('>' if data[:2] == b'MM' else '<') + 'I', 8)
    + tags.tobytes(8)
    + data[8:]
  )


_EMBED: dict[str, Callable[[bytes, Metadata], bytes]] = {
  '.png': _png,
  '.jpg': _jpeg,
  '.jpeg': _jpeg,
  '.webp': _webp,
  '.tif': _tiff,
  '.tiff': _tiff,
}
