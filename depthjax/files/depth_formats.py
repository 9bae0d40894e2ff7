"""The formats of float arrays, as stored: NPY, NPZ, PFM and EXR.

Readers give [h w] or [h w c] and check the size that the header names before they read on.
"""

import math
import os
import re
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from depthjax.files.errors import InputError, check_pixels

_SHAPES = 'an array of shape [h w] or [h w 1]'
# Scan lines in a chunk by compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB.
_EXR_LINES = (1, 1, 1, 16, 32, 16, 32, 32, 32, 256)
_EXR_TILED, _EXR_DEEP, _EXR_PARTS = 0x200, 0x800, 0x1000


def frame_size(path: str | os.PathLike, shape: tuple[int, ...]) -> tuple[int, int]:
  """Height and width of an array [h w], [h w 1], [h w 3] or [1 h w].

  Raises:
    InputError: another number of dimensions or channels.
  """
  if len(shape) == 2:
    return shape
  if len(shape) == 3 and shape[-1] in (1, 3):
    return shape[:2]
  if len(shape) == 3 and shape[0] == 1:
    return shape[1:]
  raise InputError(path, f'holds an array of shape {list(shape)}', _SHAPES)


def read_npy(path: Path, max_pixels: int) -> np.ndarray:
  """Reads an NPY file; pickled objects are refused unread."""
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
    version = np.lib.format.read_magic(file)
    reader = {
      (1, 0): np.lib.format.read_array_header_1_0,
      (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, _, dtype = reader[version](file)
  except (ValueError, KeyError) as error:
    raise InputError(path, f'has no array header that can be read ({error})', _SHAPES) from error
  if dtype.hasobject:
    raise InputError(path, 'holds pickled Python objects, which are never read', _SHAPES)
  if dtype.kind not in 'biuf':
    raise InputError(path, f'holds {dtype} values', 'an array of floats or integers')
  check_pixels(path, *frame_size(path, shape), max_pixels)
  size = math.prod(shape) * dtype.itemsize
  file.seek(0)
  try:
    return np.lib.format.read_array(file, allow_pickle=False)
  except ValueError as error:
    wrong = f'is truncated: the values of {list(shape)} take {size} bytes'
    raise InputError(path, wrong, 'a complete file') from error


def read_pfm(path: Path, max_pixels: int) -> np.ndarray:
  """Reads a PFM file, top row first; the sign of its scale tells the byte order.

  The size of the scale is ignored: Middlebury writes 1 / maximum there beside values in pixels.
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
  """The size of the scale in the header of a PFM file, which `read_pfm` ignores.

  Raises:
    InputError: a broken header.
  """
  with open(path, 'rb') as file:
    return abs(_pfm_header(path, file)[-1])


def _pfm_header(path: Path, file: BinaryIO) -> tuple[int, int, int, float]:
  """Height, width, channels and scale; the file is left where the values begin."""
  match = re.match(rb'(P[Ff])\s+(\d+)\s+(\d+)\s+(\S+)(?:\r\n|\s)', file.read(200))
  try:
    scale = float(match[4])
  except (TypeError, ValueError) as error:
    right = 'Pf, width, height and scale, then the values'
    raise InputError(path, 'has a broken PFM header', right) from error
  file.seek(match.end())
  return int(match[3]), int(match[2]), 3 if match[1] == b'PF' else 1, scale


def encode_pfm(values: np.ndarray) -> bytes:
  """A little-endian PFM file of float32 [h w]."""
  h, w = values.shape
  return b'Pf\n%d %d\n-1.0\n' % (w, h) + values[::-1].astype('<f4').tobytes()


def read_exr(path: Path, max_pixels: int) -> np.ndarray:
  """Reads the first of the channels Z, Y, R of an EXR file, or its only one.

  Names of layers ('View.Depth.Z') count by their last part. Equal R, G and B are one channel.
  """
  h, w = _exr_size(path)
  check_pixels(path, h, w, max_pixels)
  library = exr_library(path)
  try:
    with library.File(os.fspath(path), separate_channels=True) as file:
      channels = {name: channel.pixels for name, channel in file.channels().items()}
  except Exception as error:  # the library raises several kinds, and no one documents which
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


def write_exr(path: Path, values: np.ndarray, library) -> None:
  """Writes float32 [h w] as channel Y: Z would claim a distance."""
  header = {'compression': library.ZIP_COMPRESSION, 'type': library.scanlineimage}
  with library.File(header, {'Y': values}) as file:
    file.write(os.fspath(path))


def exr_library(path: str | os.PathLike):
  """The module OpenEXR; an InputError about `path` where it is not installed."""
  try:
    import OpenEXR
  except ImportError as error:
    wrong = 'is an EXR file, and the package OpenEXR is not installed'
    raise InputError(path, wrong, "the optional packages: pip install 'depthjax[photo]'") from error
  return OpenEXR


def _exr_size(path: Path) -> tuple[int, int]:
  """Height and width from the header, once the file is known to reach to its last chunk.

  OpenEXR would tell of a truncated file too, but in several lines on the terminal.
  """
  with open(path, 'rb') as file:
    try:
      flags = struct.unpack('<4xI', file.read(8))[0]
      attributes = _exr_attributes(file)
      left, top, right, bottom = struct.unpack('<4i', attributes[b'dataWindow'])
      h, w = bottom - top + 1, right - left + 1
      compression = attributes[b'compression'][0]
      if not flags & (_EXR_TILED | _EXR_DEEP | _EXR_PARTS) and compression < len(_EXR_LINES):
        chunks = -(-h // _EXR_LINES[compression])
        offset = max(struct.unpack(f'<{chunks}Q', file.read(8 * chunks)))
        file.seek(offset)
        end = offset + 8 + struct.unpack('<4xI', file.read(8))[0]
        if end > path.stat().st_size:
          raise ValueError(f'{path.stat().st_size} bytes of {end}')
    except (struct.error, KeyError, IndexError, ValueError, OSError) as error:
      raise InputError(path, f'is truncated or damaged ({error})', 'a complete EXR file') from error
  return h, w


def _exr_attributes(file: BinaryIO) -> dict[bytes, bytes]:
  """The attributes of the first header: name, type, size and value of each, then a zero byte."""
  attributes = {}
  while name := _terminated(file):
    _terminated(file)
    attributes[name] = file.read(struct.unpack('<I', file.read(4))[0])
  return attributes


def _terminated(file: BinaryIO) -> bytes:
  text = b''
  while (byte := file.read(1)) != b'\0':
    if not byte or len(text) > 255:
      raise ValueError('the header does not end')
    text += byte
  return text
