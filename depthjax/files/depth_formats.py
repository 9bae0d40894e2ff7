"""Formats of float arrays: NPY, NPZ, PFM and EXR.

Readers return [h w] or [h w c], values as stored. They check the size in the header before they
read the values.
"""

import os
import re
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from depthjax.files.errors import InputError, check_pixels, optional

_SHAPES = 'an array of shape [h w] or [h w 1]'
_PFM = 'Pf, width, height and scale, then the values'


def frame_size(path: str | os.PathLike, shape: tuple[int, ...]) -> tuple[int, int]:
  """Returns height and width of an array [h w], [h w 1], [h w 3] or [1 h w].

  Raises InputError: another number of dimensions or channels.
  """
  if len(shape) == 2:
    return shape
  if len(shape) == 3 and shape[-1] in (1, 3):
    return shape[:2]
  if len(shape) == 3 and shape[0] == 1:
    return shape[1:]
  raise InputError(path, f'holds an array of shape {list(shape)}', _SHAPES)


def read_npy(path: Path, max_pixels: int) -> np.ndarray:
  """Reads an NPY file; pickled objects are refused before they are read."""
  with open(path, 'rb') as file:
    return _read_array(path, file, max_pixels)


def read_npz(path: Path, max_pixels: int) -> np.ndarray:
  """Reads the only array of an NPZ file."""
  try:
    with zipfile.ZipFile(path) as archive:
      names = archive.namelist()
      if len(names) != 1:
        listed = ', '.join(name.removesuffix('.npy') for name in names)
        raise InputError(path, f'holds {len(names)} arrays ({listed})', 'an NPZ file of one array')
      with archive.open(names[0]) as file:
        return _read_array(path, file, max_pixels)
  except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
    raise InputError(path, f'is truncated or damaged ({error})', 'a complete NPZ file') from error


def _read_array(path: Path, file: BinaryIO, max_pixels: int) -> np.ndarray:
  try:
    major, _ = np.lib.format.read_magic(file)
    shape, _, dtype = getattr(np.lib.format, f'read_array_header_{major}_0')(file)
  except (ValueError, AttributeError) as error:
    raise InputError(path, f'has no readable array header ({error})', _SHAPES) from error
  if dtype.hasobject:
    raise InputError(path, 'holds pickled Python objects, which are never read', _SHAPES)
  if dtype.kind not in 'biuf':
    raise InputError(path, f'holds {dtype} values', 'an array of floats or integers')
  check_pixels(path, *frame_size(path, shape), max_pixels)
  file.seek(0)
  try:
    return np.lib.format.read_array(file, allow_pickle=False)
  except ValueError as error:
    raise InputError(path, f'is truncated ({error})', 'a complete file') from error


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


def read_exr(path: Path, max_pixels: int) -> np.ndarray:
  """Reads the first of the channels Z, Y, R of an EXR file, or its only channel.

  Names of layers ('View.Depth.Z') are compared by their last part. R with G and B is read as RGB.
  """
  with optional(path, 'OpenEXR'):
    import OpenEXR
  try:
    with OpenEXR.File(os.fspath(path), header_only=True) as file:
      (left, top), (right, bottom) = file.header()['dataWindow']
    check_pixels(path, int(bottom - top + 1), int(right - left + 1), max_pixels)
    with OpenEXR.File(os.fspath(path), separate_channels=True) as file:
      channels = {name: channel.pixels for name, channel in file.channels().items()}
  except InputError:
    raise
  except Exception as error:  # OpenEXR does not document its errors
    raise InputError(path, f'is truncated or damaged ({error})', 'a complete EXR file') from error
  last = {}
  for name, values in channels.items():
    last.setdefault(name.rsplit('.', 1)[-1].upper(), values)
  kind = next((kind for kind in 'ZYR' if kind in last), None)
  if kind == 'R' and {'G', 'B'} <= last.keys():
    return np.stack([last['R'], last['G'], last['B']], axis=-1)
  if kind is None and len(channels) != 1:
    raise InputError(path, f'has the channels {", ".join(channels)}', 'a channel Z, Y or R')
  return last[kind] if kind else next(iter(channels.values()))


def write_exr(path: Path, name: str | os.PathLike, values: np.ndarray) -> None:
  """Writes float32 [h w] as channel Y, since Z would mean a distance; errors mention `name`."""
  with optional(name, 'OpenEXR'):
    import OpenEXR
  header = {'compression': OpenEXR.ZIP_COMPRESSION, 'type': OpenEXR.scanlineimage}
  with OpenEXR.File(header, {'Y': values}) as file:
    file.write(os.fspath(path))
