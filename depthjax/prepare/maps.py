"""Records of an image with depth or disparity: the fields image, disparity, valid and unit."""

from pathlib import Path

import numpy as np

from depthjax.files import depth, images
from depthjax.files.errors import InputError
from depthjax.prepare import pictures
from depthjax.prepare.entries import Record

FIELDS = ('image', 'disparity', 'valid', 'unit')
_NEAREST = np.finfo(np.float32).smallest_normal  # Smaller values have no finite inverse.


def of_depth(
  photo: Path,
  file: Path,
  metres: np.ndarray,
  valid: np.ndarray | None = None,
  image: np.ndarray | None = None,
) -> Record:
  """A record of depth: disparity = 1 / metres, unit '1/m'.

  Args:
    photo, file: paths of the image and of the map.
    metres: floats [h w]; unknown where not finite or not positive.
    valid: bool [h w]; unknown where false.
    image: uint8 [h w 3]; None reads `photo`.

  Raises InputError: sizes that differ, or no valid pixel.
  """
  metres = metres.astype(np.float32)
  known = np.isfinite(metres) & (metres >= _NEAREST)
  if valid is not None:
    pictures.check_sizes(file, metres, file, valid)
    known &= valid
  return of_disparity(photo, file, pictures.inverse(metres, known), known, '1/m', image)


def of_disparity(
  photo: Path,
  file: Path,
  values: np.ndarray,
  valid: np.ndarray,
  unit: str = 'px',
  image: np.ndarray | None = None,
) -> Record:
  """A record of disparity as stored, floats [h w], near is large; otherwise as of_depth.

  `unit` is 'px' for disparity in pixels or with an unknown scale and offset, else '1/m'.
  """
  image = pictures.read_picture(photo) if image is None else image
  pictures.check_sizes(photo, image, file, values)
  pictures.check_sizes(photo, image, file, valid)
  valid = valid & np.isfinite(values)
  check_known(file, valid)
  return {'image': image, **pictures.masked(values, valid), 'unit': unit}


def load_depth(photo: Path, file: Path) -> Record:
  """The record of a depth map in metres, as of_depth."""
  return of_depth(photo, file, depth.read_raw(file))


def load_millimetres(photo: Path, file: Path) -> Record:
  """The record of a 16-bit PNG of depth in millimetres, 0 unknown.

  Raises InputError: as images.read_pixels and of_depth, or other values.
  """
  values = images.read_pixels(file)
  if values.dtype != np.uint16 or values.ndim != 2:
    wrong = f'holds {values.dtype} values of shape {list(values.shape)}'
    raise InputError(file, wrong, 'one channel of 16 bits, millimetres')
  return of_depth(photo, file, values.astype(np.float32) / 1000)


def check_known(file: Path, valid: np.ndarray) -> None:
  """Raises InputError for a map without valid pixels."""
  if not valid.any():
    raise InputError(file, 'has no valid pixel', 'depth or disparity')
