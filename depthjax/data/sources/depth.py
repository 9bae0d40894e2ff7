"""Sources of disparity for training refinement networks: datasets, scikit-image, folders.

Prepared RGB-D datasets have the true disparity, from which predictions are simulated. Folders have
the predictions of a real predictor beside the truth:

  FOLDER/NAME/target.npy, low.npy, high.npy      disparity of any scale and size, near is large
  FOLDER/NAME/valid.png                          0 where the target is unknown; optional
  FOLDER/NAME/windows/LEVEL_ROW_COLUMN.npy       predictions of depthjax.windows; optional

Maps may be .npy, .png, .pfm or .exr; NaN in a target is unknown, too.
"""

import importlib.util
import pathlib
from collections.abc import Sequence

import numpy as np

from depthjax import windows
from depthjax.data.errors import noise
from depthjax.data.sources import prepared, remote
from depthjax.data.sources.holdout import members
from depthjax.files import depth
from depthjax.files.errors import InputError

_MOTORCYCLE = 'motorcycle_disp.npz'
_LAYOUT = 'folders NAME with target, low and high as .npy, .png, .pfm or .exr'


class Truths(Sequence):
  """The true disparity of a prepared dataset 'tfds:NAME', resized to squares; picklable.

  A record is `disparity` float32 [s s], holes filled, and `valid` bool [s s].

  Raises ValueError: as prepared.open_part; on access, a record that cannot be decoded or is
  constant.
  """

  def __init__(self, where: str, split: str, side: int):
    self.part, self.side = prepared.open_part(where, split, ('disparity', 'valid')), side

  def __len__(self) -> int:
    return len(self.part.chosen)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    record, name = self.part.read(index), self.part.names[index]
    disparity, valid = np.asarray(record['disparity']), np.asarray(record['valid'])
    if disparity.ndim != 3 or disparity.shape[2] != 1 or valid.shape != disparity.shape:
      raise ValueError(f'{name}: has shapes {disparity.shape}, {valid.shape}; both must be [h w 1]')
    return _square(name, disparity[..., 0], valid[..., 0] > 0, self.side)


class BuiltIn(Sequence):
  """The measured disparity inside scikit-image, Middlebury 2014 "Motorcycle": one record of Truths.

  Raises ValueError: a split other than 'test'.
  """

  def __init__(self, split: str, side: int):
    if split != 'test':
      raise ValueError(f"depth_source 'builtin' has only the split 'test', not {split!r}")
    self.side = side

  def __len__(self) -> int:
    return 1

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    range(1)[index]  # Raises IndexError.
    folder = pathlib.Path(importlib.util.find_spec('skimage').origin).parent / 'data'
    with np.load(folder / _MOTORCYCLE) as file:
      (disparity,) = file.values()
    return _square(_MOTORCYCLE, disparity, np.isfinite(disparity) & (disparity > 0), self.side)


class Stored(Sequence):
  """The stored predictions of a folder or its URL, resized to squares; picklable.

  A record is `disparity` and `valid` as in Truths, `low` and `high` float32 [s s], and, if levels >
  0, `windows` float32 [n window_size window_size]; a window that is not stored is cut from `high`.

  Raises ValueError: the folder does not exist, or has no record of the split; on access, a file
  that is missing, cannot be read or is incomplete.
  """

  def __init__(self, where: str, split: str, side: int, *, levels: int, window_size: int):
    self.side, self.levels, self.window_size = side, levels, window_size
    folder = remote.fetch(where)
    if not folder.is_dir():
      raise InputError(folder, 'is not a folder', f'a folder with {_LAYOUT}')
    found = sorted(path for path in folder.iterdir() if _file(path, 'target', optional=True))
    if not found:
      raise InputError(folder, 'has no predictions', _LAYOUT)
    self.folders = [found[i] for i in members([path.name for path in found], split, where)]

  def __len__(self) -> int:
    return len(self.folders)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    folder, shape = self.folders[index], (self.side, self.side)
    file = _file(folder, 'target')
    target = depth.read_raw(file)
    valid = np.isfinite(target)
    if (mask := _file(folder, 'valid', optional=True)) is not None:
      known = depth.read_raw(mask)
      if known.shape != target.shape:
        right = f'that of the target, {target.shape[1]} x {target.shape[0]}'
        raise InputError(mask, f'has the size {known.shape[1]} x {known.shape[0]}', right)
      valid &= known > 0
    record = _square(file, np.where(valid, target, 0), valid, self.side)
    low, high = (_complete(_file(folder, name)) for name in ('low', 'high'))
    record |= {'low': noise.resized(low, shape), 'high': noise.resized(high, shape)}
    if self.levels:
      record['windows'] = np.stack(list(self._windows(folder, high)))
    return record

  def _windows(self, folder, high):
    for level in range(1, self.levels + 1):
      for number, part in enumerate(windows.grid(high.shape, level)):
        row, column = divmod(number, level + 1)
        file = _file(folder / 'windows', f'{level}_{row}_{column}', optional=True)
        window = np.ascontiguousarray(high[part.slices]) if file is None else _complete(file)
        yield noise.resized(window, (self.window_size, self.window_size))


def _file(folder, name, *, optional=False):
  """The file of a map with any extension, or None."""
  files = (folder / f'{name}{extension}' for extension in depth.EXTENSIONS)
  found = next((file for file in files if file.is_file()), None)
  if found is None and not optional:
    raise InputError(folder, f'has no {name}', _LAYOUT)
  return found


def _complete(path):
  """Reads a prediction, float32 [h w]; every value must be finite."""
  values = depth.read_raw(path)
  if not np.isfinite(values).all():
    raise InputError(path, 'has NaN or infinite values', 'a value for every pixel')
  return values


def _square(name, disparity, valid, side):
  """Disparity, holes filled, and validity [h w], resized to squares."""
  if not valid.any() or not np.ptp(disparity[valid]) > 0:
    raise InputError(name, 'is constant or has no valid pixel', 'at least two different values')
  filled, shape = depth.fill(np.ascontiguousarray(disparity, np.float32), valid), (side, side)
  known = noise.resized(valid.astype(np.float32), shape) > 0.5
  if not known.any():
    raise InputError(name, f'has too few valid pixels for {side} x {side}', 'more valid pixels')
  return {'disparity': noise.resized(filled, shape), 'valid': known}
