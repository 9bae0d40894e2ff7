"""Where a refinement network's training records come from, other than drawing.

Prepared RGB-D datasets give true disparity, on which the predictor is simulated. Folders give what
a real predictor saw, beside the truth:

  FOLDER/NAME/target.npy, low.npy, high.npy      disparity of any scale and size, near is large
  FOLDER/NAME/valid.png                          0 where the target is not known; may be missing
  FOLDER/NAME/windows/LEVEL_ROW_COLUMN.npy       of the windows of depthjax.windows; may be missing

Maps may be .npy, .png, .pfm or .exr; NaN in a target is not known either.
"""

import importlib.util
import pathlib
from collections.abc import Sequence

import numpy as np

from depthjax import windows
from depthjax.data.errors import noise
from depthjax.data.sources import places, prepared
from depthjax.data.sources.holdout import members
from depthjax.files import depth
from depthjax.files.errors import InputError

MAPS = ('target', 'low', 'high')
_MOTORCYCLE = 'motorcycle_disp.npz'
_LAYOUT = 'folders NAME with target, low and high as .npy, .png, .pfm or .exr'


class Truths(Sequence):
  """True disparity of a prepared dataset, as squares; picklable.

  A record is `disparity` float32 [s s], complete, and `valid` bool [s s].

  Raises:
    ValueError: on access, a record that cannot be decoded or has no two depths.
  """

  def __init__(self, part: prepared.Part, side: int):
    self.part, self.side = part, side

  def __len__(self) -> int:
    return len(self.part.chosen)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    record, name = self.part.read(index), self.part.names[index]
    disparity, valid = np.asarray(record['disparity']), np.asarray(record['valid'])
    if disparity.ndim != 3 or disparity.shape[2] != 1 or valid.shape != disparity.shape:
      raise ValueError(f'{name}: {disparity.shape} and {valid.shape}; [h w 1] twice is right')
    return _square(name, disparity[..., 0], valid[..., 0] > 0, self.side)


def open_truths(where: str, split: str, side: int, *, data_dir=None) -> Truths:
  """The split 'train', 'val' or 'test' of 'tfds:NAME', for squares of `side` pixels.

  Raises:
    ValueError: as prepared.open_part.
  """
  part = prepared.open_part(where, split, ('disparity', 'valid'), data_dir=data_dir)
  return Truths(part, side)


class BuiltIn(Sequence):
  """The measured disparity inside scikit-image, Middlebury 2014 "Motorcycle", as a square.

  Records as those of Truths. It is for the split 'test' alone.
  """

  def __init__(self, side: int):
    self.side = side

  def __len__(self) -> int:
    return 1

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    range(1)[index]
    folder = pathlib.Path(importlib.util.find_spec('skimage').origin).parent / 'data'
    with np.load(folder / _MOTORCYCLE) as file:
      (disparity,) = file.values()
    return _square(_MOTORCYCLE, disparity, np.isfinite(disparity) & (disparity > 0), self.side)


def open_builtin(split: str, side: int) -> BuiltIn:
  """The picture that comes with scikit-image.

  Raises:
    ValueError: another split than 'test'.
  """
  if split != 'test':
    raise ValueError(f"depth_source is 'builtin', one picture for the split 'test', not {split!r}")
  return BuiltIn(side)


class Stored(Sequence):
  """Records of a folder of stored predictions, as squares; picklable.

  A record is `disparity` and `valid` as those of Truths, `low` and `high` float32 [s s], and
  `windows` float32 [n window_size window_size], crops of `high` where none are stored.

  Raises:
    InputError: on access, a file that is missing, cannot be read or is not complete.
  """

  def __init__(self, folders: Sequence[pathlib.Path], side: int, levels: int, window_size: int):
    self.folders, self.side, self.levels = list(folders), side, levels
    self.window_size = window_size

  def __len__(self) -> int:
    return len(self.folders)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    folder = self.folders[index]
    files = {name: _file(folder, name) for name in MAPS}
    target = depth.read_raw(files['target'])
    valid = np.isfinite(target)
    if (mask := _file(folder, 'valid', needed=False)) is not None:
      known = depth.read_raw(mask)
      if known.shape != target.shape:
        right = f'that of the target, {target.shape[1]} x {target.shape[0]}'
        raise InputError(mask, f'has the size {known.shape[1]} x {known.shape[0]}', right)
      valid &= known > 0
    record = _square(files['target'], np.where(valid, target, 0), valid, self.side)
    low, high = (_complete(files[name]) for name in ('low', 'high'))
    shape = (self.side, self.side)
    record |= {'low': noise.resized(low, shape), 'high': noise.resized(high, shape)}
    if self.levels:
      record['windows'] = np.stack(list(self._windows(folder, high)))
    return record

  def _windows(self, folder, high):
    for level in range(1, self.levels + 1):
      for number, part in enumerate(windows.grid(high.shape, level)):
        row, column = divmod(number, level + 1)
        file = _file(folder / 'windows', f'{level}_{row}_{column}', needed=False)
        own = np.ascontiguousarray(high[part.slices]) if file is None else _complete(file)
        yield noise.resized(own, (self.window_size, self.window_size))


def open_stored(where: str, split: str, side: int, *, levels: int, window_size: int) -> Stored:
  """The split 'train', 'val' or 'test' of a folder of predictions, or of its URL.

  Raises:
    ValueError: no such folder, no record in it, or none of this split.
  """
  folder = places.fetch(where)
  if not folder.is_dir():
    raise InputError(folder, 'is no folder', f'a folder that holds {_LAYOUT}')
  found = sorted(
    path for path in folder.iterdir() if _file(path, 'target', needed=False) is not None
  )
  if not found:
    raise InputError(folder, 'holds no prediction', _LAYOUT)
  chosen = members([path.name for path in found], split, where)
  return Stored([found[i] for i in chosen], side, levels, window_size)


def _file(folder, name, *, needed=True):
  """The file of a map, whatever its kind, or None."""
  files = (folder / f'{name}{extension}' for extension in depth.EXTENSIONS)
  found = next((file for file in files if file.is_file()), None)
  if found is None and needed:
    raise InputError(folder, f'has no {name}', _LAYOUT)
  return found


def _complete(path):
  """A prediction, float32 [h w]: it has a value everywhere."""
  values = depth.read_raw(path)
  if not np.isfinite(values).all():
    raise InputError(path, 'has NaN or infinite values', 'a prediction for every pixel')
  return values


def _square(name, disparity, valid, side):
  """Disparity and validity [h w] as complete squares."""
  if not valid.any() or not np.ptp(disparity[valid]) > 0:
    raise InputError(name, 'has no two different depths', 'a map with some known relief')
  filled = depth.fill(np.ascontiguousarray(disparity, np.float32), valid)
  shape = (side, side)
  known = noise.resized(valid.astype(np.float32), shape) > 0.5
  if not known.any():
    raise InputError(name, f'has too few known pixels for {side} x {side}', 'more of them')
  return {'disparity': noise.resized(filled, shape), 'valid': known}
