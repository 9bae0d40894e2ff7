"""Records of a picture and its map: depth or disparity as the fields disparity, valid and unit."""

from pathlib import Path

import numpy as np

from depthjax.files import images
from depthjax.files.errors import InputError
from depthjax.prepare import pictures
from depthjax.prepare.entries import Record

FIELDS = ('image', 'disparity', 'valid', 'unit')
_NEAREST = np.finfo(np.float32).smallest_normal  # what is smaller has no finite inverse
_MILLIMETRES = 1000


def of_depth(
  photo: Path, image: np.ndarray, file: Path, metres: np.ndarray, valid: np.ndarray | None = None
) -> Record:
  """A record of depth, far is large: disparity = 1 / metres, in '1/m'.

  Args:
    photo, file: where the arrays are from.
    image: uint8 [h w 3].
    metres: floats [h w]; what is not finite or not positive is unknown.
    valid: bool [h w], where it is known besides.

  Raises:
    InputError: sizes that differ, or no valid pixel.
  """
  pictures.check_sizes(photo, image, file, metres)
  metres = metres.astype(np.float32)
  known = np.isfinite(metres) & (metres >= _NEAREST)
  if valid is not None:
    pictures.check_sizes(photo, image, file, valid)
    known &= valid
  _check_known(file, known, 'depth')
  return {'image': image, **pictures.masked(pictures.inverse(metres, known), known), 'unit': '1/m'}


def of_disparity(
  photo: Path, image: np.ndarray, file: Path, values: np.ndarray, valid: np.ndarray
) -> Record:
  """A record of disparity in pixels, or of any other scale and offset: as stored, unit 'px'.

  Args:
    photo, file: where the arrays are from.
    image: uint8 [h w 3].
    values: floats [h w], near is large.
    valid: bool [h w], where they are known.

  Raises:
    InputError: sizes that differ, or no valid pixel.
  """
  pictures.check_sizes(photo, image, file, values)
  pictures.check_sizes(photo, image, file, valid)
  valid = valid & np.isfinite(values)
  _check_known(file, valid, 'disparity')
  return {'image': image, **pictures.masked(values, valid), 'unit': 'px'}


def read_millimetres(path: Path) -> np.ndarray:
  """Metres, float32 [h w], of a 16-bit PNG of millimetres; 0 is unknown.

  Raises:
    InputError: as images.read_pixels, or other values.
  """
  values = images.read_pixels(path)
  if values.dtype != np.uint16 or values.ndim != 2:
    wrong = f'holds {values.dtype} values of shape {list(values.shape)}'
    raise InputError(path, wrong, 'one channel of 16 bits, millimetres')
  return values.astype(np.float32) / _MILLIMETRES


def _check_known(file: Path, valid: np.ndarray, kind: str) -> None:
  if not valid.any():
    raise InputError(file, 'has no valid pixel', kind)
