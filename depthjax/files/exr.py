"""EXR files: which channel holds the depth, and its values inside the display window."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from depthjax.files.errors import InputError, check_pixels, decoding, optional

_RIGHT = 'a depth channel Z, Depth.Z or Depth.V, or the name of one as --channel'
_GUESSED = 5  # From this rank on, the name does not say that the channel is depth.
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


def read_exr_colours(path: Path, max_pixels: int) -> np.ndarray:
  """Reads the first layer with channels R, G and B as [h w 3]; errors as `read_exr`."""
  channels, windows = _header(path, max_pixels)
  for layer in _layers(channels).values():
    if {'r', 'g', 'b'} <= layer.keys():
      return np.stack(_pixels(path, [layer[name] for name in 'rgb'], windows), axis=-1)
  raise InputError(path, f'has the channels {_listed(channels)}', 'channels R, G and B')


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
  found = []
  for same in (str, str.lower):
    found = found or [x for x in channels if same(name) in (same(x.name), same(x.full_name))]
  if len(found) != 1:
    wrong = f'has {"several channels" if found else "no channel"} {name!r}'
    raise InputError(path, wrong, f'one of {_listed(found or channels)} as --channel')
  return found


def _depth(path: Path, channels: list[_Channel]) -> list[_Channel]:
  """The channel that is depth, or three if it is R, G and B."""
  if len(channels) == 1:
    return channels
  ranked = [_candidate(*item) for item in _layers(channels).items()]
  best = min((rank for rank, _ in ranked), default=None)
  found = [candidate for rank, candidate in ranked if rank == best and candidate]
  if not found or (len(found) > 1 and len(found[0]) == 3):
    raise InputError(path, f'has no depth among its channels {_listed(channels)}', _RIGHT)
  if len(found) > 1:
    wrong = f'has several channels that may be depth: {_listed(one for one, *_ in found)}'
    raise InputError(path, wrong, 'the name of one of them as --channel')
  if best >= _GUESSED and len(found[0]) == 1:
    _log.warning('%s: depth is read from %s', path, _listed(found[0]))
  return found[0]


def _layers(channels: list[_Channel]) -> dict[tuple[int, str], dict[str, _Channel]]:
  """By part and layer, the channels by their names in lower case, without the layer.

  A channel named after depth is a layer of that name with one channel, Z.
  """
  layers = {}
  for one in channels:
    layer, _, last = one.full_name.rpartition('.')
    if _says_depth(last):
      layer, last = one.full_name, 'Z'
    layers.setdefault((one.part, layer), {})[last.lower()] = one
  return layers


def _says_depth(name: str) -> bool:
  return 'depth' in name.lower() or 'disparity' in name.lower()


def _candidate(key: tuple[int, str], layer: dict[str, _Channel]) -> tuple[int, list[_Channel]]:
  """Rank and channels of a layer that may be depth; a smaller rank is more likely."""
  names, title = layer.keys(), key[1]
  *parents, last = title.lower().split('.')
  if len(layer) == 1 and _says_depth(title):
    chosen = list(names)
  elif 'z' in names and not {'x', 'y'} <= names:
    chosen = ['z']
  elif 'v' in names and not {'u', 's'} & names:  # Neither UV coordinates nor HSV.
    chosen = ['v']
  elif 'y' in names and not {'x', 'ry', 'by'} & names:
    chosen = ['y']
  elif 'r' in names:
    chosen = ['r', 'g', 'b'] if {'g', 'b'} <= names else ['r']
  else:
    return 100, []
  kind = chosen[0]
  if layer[kind].name.lower() == 'z':
    rank = 0
  elif last == 'depth' and kind in 'zv':
    rank = 2 if parents else {'z': 1, 'v': 3}[kind]
  elif _says_depth(title):
    rank = 4
  else:
    rank = _GUESSED + 'zvyr'.index(kind)
  return rank, [layer[name] for name in chosen]


def write_exr(path: Path, name: str | os.PathLike, values: np.ndarray) -> None:
  """Writes float32 [h w] as channel Y, since Z would mean a distance; errors mention `name`."""
  with optional(name, 'OpenEXR'):
    import OpenEXR
  header = {'compression': OpenEXR.ZIP_COMPRESSION, 'type': OpenEXR.scanlineimage}
  with OpenEXR.File(header, {'Y': values}) as file:
    file.write(os.fspath(path))
