"""EXR files: which channel holds the depth, and its values inside the display window."""

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from depthjax.files.errors import InputError, check_pixels, decoding, optional

_RIGHT = 'a depth channel Z, Depth.Z or Depth.V, or the name of one as --channel'
_NAMES = [
  re.compile(pattern, re.IGNORECASE)
  for pattern in (
    *(r'z', r'depth\.z', r'.*\.depth\.[zv]', r'depth\.v'),
    r'.*(depth|disparity)[^.]*(.*\.[zvyrx])?',
    *(r'(.*\.)?z', r'(.*\.)?v', r'(.*\.)?y', r'(.*\.)?r'),
  )
]
# Beside these a channel is part of a vector or colour.
_VECTORS = {'z': {'x'}, 'v': {'u', 's'}, 'y': {'x', 'ry', 'by'}, 'x': {'y'}}
_log = logging.getLogger(__name__)


class _Channel(NamedTuple):
  part: int
  name: str  # In its part: layer and channel.
  full_name: str  # Begins with the name of the part in files of several parts.
  flat: bool  # Has one value in every pixel: neither deep nor subsampled.


def read_exr(path: Path, max_pixels: int, channel: str | None = None) -> np.ndarray:
  """Reads depth [h w] from an EXR file: its display window, NaN where that has no data.

  The first of these is taken, from all parts: Z; Depth.Z; Depth.Z or Depth.V in another layer;
  Depth.V; the channel of a layer named after depth or disparity; Z, V, Y of any layer; R, with G
  and B equal to it; the only channel. X, Y and Z together, or U and V, are vectors and not depth.
  `channel` is a name instead, in any case.

  Raises InputError: no depth, or several channels that may be; unknown `channel`; deep or
  subsampled; damaged; too many pixels; OpenEXR is not installed.
  """
  channels, windows = _header(path, max_pixels)
  chosen = _depth(path, channels) if channel is None else _named(path, channels, channel)
  first, *others = _pixels(path, chosen, windows)
  if not all(np.array_equal(first, other, equal_nan=True) for other in others):
    wrong = f'has three channels that differ, like a colour image, among {_listed(channels)}'
    raise InputError(path, wrong, _RIGHT)
  return first


def _header(path: Path, max_pixels: int) -> tuple[list[_Channel], list[np.ndarray]]:
  """The channels of all parts, and for every part the first and last x, y of data and display."""
  with optional(path, 'OpenEXR'):
    import OpenEXR
  channels, windows = [], []
  with decoding(path, 'a complete EXR file'):
    with OpenEXR.File(os.fspath(path), header_only=True) as file:
      for number, part in enumerate(file.parts):
        windows.append(np.array([part.header['dataWindow'], part.header['displayWindow']], int))
        for (left, top), (right, bottom) in windows[-1]:
          check_pixels(path, int(bottom - top + 1), int(right - left + 1), max_pixels)
        prefix = f'{part.name()}.' if len(file.parts) > 1 else ''
        for one in part.header['channels']:
          name = one.name if one.name.startswith(prefix) else prefix + one.name
          flat = part.type() in (OpenEXR.scanlineimage, OpenEXR.tiledimage)
          flat &= one.xSampling == one.ySampling == 1
          channels.append(_Channel(number, one.name, name, flat))
  return channels, windows


def _pixels(path: Path, channels: list[_Channel], windows: list[np.ndarray]) -> list[np.ndarray]:
  """Values [h w] at the size of the display window, NaN outside the data window."""
  import OpenEXR

  if other := [one for one in channels if not one.flat]:
    wrong = f'does not have one value of {_listed(other)} in every pixel'
    raise InputError(path, wrong, 'a flat image (not deep) that is not subsampled')
  with decoding(path, 'a complete EXR file'):
    with OpenEXR.File(os.fspath(path), separate_channels=True) as file:
      found = [file.parts[one.part].channels[one.name].pixels for one in channels]
  return [_in_display(x, windows[one.part]) for one, x in zip(channels, found, strict=True)]


def _in_display(values: np.ndarray, window: np.ndarray) -> np.ndarray:
  data, display = window
  if (data == display).all():
    return values
  (left, top), (right, bottom) = display - data[0]
  result = np.full((bottom - top + 1, right - left + 1), np.nan, np.float32)
  inside = values[max(top, 0) : max(bottom + 1, 0), max(left, 0) : max(right + 1, 0)]
  h, w = inside.shape
  result[max(-top, 0) :, max(-left, 0) :][:h, :w] = inside
  return result


def _listed(channels: Iterable[_Channel]) -> str:
  return ', '.join(one.full_name for one in channels)


def _named(path: Path, channels: list[_Channel], name: str) -> list[_Channel]:
  found = [x for x in channels if name.lower() in (x.name.lower(), x.full_name.lower())]
  if len(found) != 1:
    wrong = f'has {"several channels" if found else "no channel"} {name!r}'
    raise InputError(path, wrong, f'one of {_listed(found or channels)} as --channel')
  return found


def _depth(path: Path, channels: list[_Channel]) -> list[_Channel]:
  """The channel that is depth, or three if it is R, G and B."""
  if len(channels) == 1:
    return channels
  layers = {}
  for one in channels:
    layer, _, last = one.full_name.lower().rpartition('.')
    layers.setdefault((one.part, layer), {})[last] = one
  scalars = [
    one
    for layer in layers.values()
    for last, one in layer.items()
    if not _VECTORS.get(last, set()) & layer.keys()
  ]
  for pattern in _NAMES:
    found = [x for x in scalars if any(map(pattern.fullmatch, (x.name, x.full_name)))]
    if found:
      break
  colours = [layer for layer in layers.values() if {'r', 'g', 'b'} <= layer.keys()]
  colours = [[layer[name] for name in 'rgb'] for layer in colours if layer['r'] in found]
  if not found or (colours and len(found) > 1):
    raise InputError(path, f'has no depth among its channels {_listed(channels)}', _RIGHT)
  if len(found) > 1:
    wrong = f'has several channels that may be depth: {_listed(found)}'
    raise InputError(path, wrong, 'the name of one of them as --channel')
  if colours:
    return colours[0]
  if pattern in _NAMES[-4:]:  # These do not say that the channel is depth.
    _log.warning('%s: depth is read from %s', path, _listed(found))
  return found


def write_exr(path: Path, name: str | os.PathLike, values: np.ndarray, channel: str) -> None:
  """Writes float32 [h w] as a channel: Z for distances, else Y; errors mention `name`."""
  with optional(name, 'OpenEXR'):
    import OpenEXR
  header = {'compression': OpenEXR.ZIP_COMPRESSION, 'type': OpenEXR.scanlineimage}
  with OpenEXR.File(header, {channel: values}) as file:
    file.write(os.fspath(path))
