"""Reads the images, mattes and masks of a dataset as uint8 arrays, and reduces records."""

from pathlib import Path

import cv2
import numpy as np

from depthjax.files import images
from depthjax.files.errors import InputError
from depthjax.prepare.entries import Record

_OPAQUE = 250  # Pixels of at least this alpha show only the foreground.


def read_picture(path: Path) -> np.ndarray:
  """A photo, uint8 sRGB [h w 3], upright; errors as images.read_image."""
  return images.quantise(images.read_image(path))


def read_matte(path: Path) -> np.ndarray:
  """A soft matte, uint8 [h w 1], 255 the foreground.

  Raises InputError: as images.read_pixels; unequal channels, or no opaque pixel.
  """
  values = images.read_pixels(path)
  if values.dtype not in (np.uint8, np.uint16):
    raise InputError(path, f'holds {values.dtype} values', 'an 8- or 16-bit matte')
  if values.ndim == 3:
    if (values != values[..., :1]).any():
      raise InputError(path, 'is a colour image', 'a grey matte')
    values = values[..., 0]
  matte = (values >> 8).astype(np.uint8) if values.dtype == np.uint16 else values
  if not (matte >= _OPAQUE).any():
    raise InputError(path, 'has no opaque pixel', 'white (255) where the foreground is')
  return matte[..., None]


def read_mask(path: Path) -> np.ndarray:
  """A binary mask, uint8 [h w 1]: 255 where the matte is 128 or more, else 0; as read_matte."""
  return _binary(read_matte(path))


def check_sizes(path: Path, first: np.ndarray, other: Path, second: np.ndarray) -> None:
  """Raises InputError for two arrays [h w ...] of unequal height or width."""
  if first.shape[:2] != second.shape[:2]:
    (h, w), (h2, w2) = first.shape[:2], second.shape[:2]
    name = f'{other.parent.name}/{other.name}'
    wrong = f'is {w} x {h} pixels but {name} is {w2} x {h2} (width x height)'
    raise InputError(path, wrong, 'the same size')


def inverse(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
  """1 / values as float32, 0 where not valid."""
  return np.divide(1, values, out=np.zeros_like(values, np.float32), where=valid)


def masked(disparity: np.ndarray, valid: np.ndarray) -> Record:
  """The fields disparity and valid [h w 1] of arrays [h w]."""
  values = np.where(valid, disparity, 0).astype(np.float32)
  return {
    'disparity': values[..., None],
    'valid': np.where(valid, 255, 0).astype(np.uint8)[..., None],
  }


def reduced(record: Record, side: int | None) -> Record:
  """A record reduced to a long side of at most `side` pixels; `blur`, in pixels, is scaled too.

  Images, mattes and masks are averaged over areas. `disparity` and `valid` are sampled, since a
  mean over a depth edge is the disparity of neither side.
  """
  h, w = record['image'].shape[:2]
  if side is None or max(h, w) <= side:
    return record
  factor = side / max(h, w)
  size = max(1, round(w * factor)), max(1, round(h * factor))
  result = dict(record)
  for name, value in record.items():
    if np.ndim(value) == 3:
      sampled = name in ('disparity', 'valid')
      method = cv2.INTER_NEAREST_EXACT if sampled else cv2.INTER_AREA
      small = cv2.resize(value, size, interpolation=method).reshape(*size[::-1], -1)
      result[name] = _binary(small) if name in ('mask', 'tom') else small
  if 'blur' in record:
    result['blur'] = np.float32(record['blur'] * factor)
  return result


def _binary(values: np.ndarray) -> np.ndarray:
  return np.where(values >= 128, 255, 0).astype(np.uint8)
