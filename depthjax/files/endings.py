"""Endings of photos: those that are written, those that are known, and how many bits they hold."""

from pathlib import Path

from depthjax.files.errors import InputError

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.webp', '.tif', '.tiff')
# Other endings of photos. Some can be read; a folder reports the others as failed.
_LOSSY = ('.heic', '.heif', '.avif', '.jfif', '.jpe', '.jxl', '.jp2')
RAW = (  # of cameras
  *('.dng', '.nef', '.nrw', '.cr2', '.cr3', '.arw', '.sr2', '.srf', '.raf', '.orf', '.rw2', '.rwl'),
  *('.pef', '.srw', '.3fr', '.iiq', '.x3f', '.kdc', '.dcr', '.mrw', '.erf', '.raw'),
)
OTHERS = (*_LOSSY, *RAW, '.bmp', '.ppm', '.gif', '.psd', '.tga')
_DEEP = ('.png', '.tif', '.tiff')  # Endings of results of 16 bits.


def check_bits(path: Path, bits: int) -> None:
  """Checks the bit depth against the format; call it before long work starts.

  Raises InputError: neither 8 bits, nor 16 bits for PNG or TIFF.
  """
  if bits != 8 and (bits != 16 or path.suffix.lower() not in _DEEP):
    raise InputError(path, f'cannot hold {bits} bits', '8 bits, or 16 bits in .png, .tif or .tiff')


def bits_for(path: Path, bits: int) -> int:
  """The bits of a result at `path` for a photo of so many bits: 16 if the format holds them."""
  return bits if path.suffix.lower() in _DEEP else 8


def result_ending(photo: Path, bits: int | None) -> str:
  """The ending of a result: that of the photo, if such files of so many bits can be written."""
  own = photo.suffix.lower()
  own = own if own in EXTENSIONS else '.jpg' if own in _LOSSY else '.png'
  return '.png' if bits == 16 and own not in _DEEP else own
