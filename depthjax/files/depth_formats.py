"""Formats of float arrays: NPY, NPZ and PFM.

Readers return [h w] or [h w c], values as stored. They check the size in the header before they
read the values.
"""

import os
import re
import warnings
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from depthjax.files.errors import InputError, check_pixels, decoding

_SHAPES = 'an array of shape [h w] or [h w 1]'
_PFM = 'Pf, width, height and scale, then the values'


def frame_size(path: str | os.PathLike, shape: tuple[int, ...]) -> tuple[int, int]:
  """Returns height and width of an array [h w], [h w 1] or [h w 3], or of one with axes 1 before.

  Raises InputError: another number of dimensions or channels.
  """
  inner = shape
  while len(inner) > 3 and inner[0] == 1:
    inner = inner[1:]
  if len(inner) == 2:
    return inner
  if len(inner) == 3 and inner[-1] in (1, 3):
    return inner[:2]
  if len(inner) == 3 and inner[0] == 1:
    return inner[1:]
  raise InputError(path, f'holds an array of shape {list(shape)}', _SHAPES)


def one_channel(path: str | os.PathLike, values: np.ndarray) -> np.ndarray:
  """Returns an array of a shape that `frame_size` takes as [h w].

  Raises InputError: as `frame_size`; three channels that are not equal.
  """
  h, w = frame_size(path, values.shape)
  if values.size == 3 * h * w:
    first = values[..., :1]
    if not np.array_equal(np.broadcast_to(first, values.shape), values, equal_nan=True):
      wrong = 'has three channels that differ, like a colour image'
      raise InputError(path, wrong, 'one channel of values, or three equal ones')
    values = first
  return values.reshape(h, w)


def read_npy(path: Path, max_pixels: int) -> np.ndarray:
  """Reads an NPY file; pickled objects are refused before they are read."""
  with open(path, 'rb') as file:
    return _read_array(path, file, max_pixels)


def read_npz(path: Path, max_pixels: int, channel: str | None = None) -> np.ndarray:
  """Reads an array of an NPZ file: that named `channel`, or the only one."""
  with decoding(path, 'a complete NPZ file'), zipfile.ZipFile(path) as archive:
    names = {name.removesuffix('.npy'): name for name in archive.namelist()}
    if channel is None and len(names) == 1:
      (channel,) = names
    if channel not in names:
      wrong = f'holds {len(names)} arrays ({", ".join(names)})'
      raise InputError(path, wrong, 'the name of one of them as --channel')
    with archive.open(names[channel]) as file:
      return _read_array(path, file, max_pixels)


def _read_array(path: Path, file: BinaryIO, max_pixels: int) -> np.ndarray:
  # NumPy parses the header as Python source: damage ends in errors of many types, and headers that
  # Python 2 wrote in a warning.
  try:
    with warnings.catch_warnings(action='ignore'):
      major, _ = np.lib.format.read_magic(file)
      shape, _, dtype = getattr(np.lib.format, f'read_array_header_{major}_0')(file)
  except Exception as error:
    raise InputError(path, f'has no readable array header ({error})', _SHAPES) from error
  if dtype.hasobject:
    raise InputError(path, 'holds pickled Python objects, which are never read', _SHAPES)
  if dtype.kind not in 'biuf':
    raise InputError(path, f'holds {dtype} values', 'an array of floats or integers')
  check_pixels(path, *frame_size(path, shape), max_pixels)
  file.seek(0)
  with decoding(path, 'a complete file'), warnings.catch_warnings(action='ignore'):
    return np.lib.format.read_array(file, allow_pickle=False)


def read_pfm(path: Path, max_pixels: int) -> np.ndarray:
  """Reads a PFM file, top row first; a negative scale means little-endian.

  The size of the scale is ignored: Middlebury stores values in pixels, and 1 / maximum as scale.
  """
  with open(path, 'rb') as file:
    h, w, c, scale = _pfm_header(path, file)
    check_pixels(path, h, w, max_pixels)
    data = file.read(h * w * c * 4)
  if len(data) != h * w * c * 4:
    wrong = f'is truncated: {len(data)} bytes of values where {w} x {h} pixels take {h * w * c * 4}'
    raise InputError(path, wrong, 'a complete file')
  values = np.frombuffer(data, '<f4' if scale < 0 else '>f4').reshape(h, w, c)
  return values[::-1].astype(np.float32)


def pfm_scale(path: Path) -> float:
  """Returns the absolute scale in the header of a PFM file, which `read_pfm` ignores."""
  with open(path, 'rb') as file:
    return abs(_pfm_header(path, file)[-1])


def _pfm_header(path: Path, file: BinaryIO) -> tuple[int, int, int, float]:
  """Height, width, channels and scale; the file position is moved to the first value."""
  match = re.match(rb'(P[Ff])\s+(\d+)\s+(\d+)\s+(\S+)(?:\r\n|\s)', file.read(200))
  try:
    scale = float(match[4])
  except (TypeError, ValueError) as error:
    raise InputError(path, 'has an invalid PFM header', _PFM) from error
  file.seek(match.end())
  return int(match[3]), int(match[2]), 3 if match[1] == b'PF' else 1, scale


def encode_pfm(values: np.ndarray) -> bytes:
  """Encodes float32 [h w] as a little-endian PFM file."""
  h, w = values.shape
  return b'Pf\n%d %d\n-1.0\n' % (w, h) + values[::-1].astype('<f4').tobytes()
