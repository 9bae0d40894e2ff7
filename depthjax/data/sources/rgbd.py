"""Photos with disparity, for compositing: prepared RGB-D datasets, and folders.

FOLDER/photos/NAME.*        a photo
FOLDER/disparity/NAME.*     its disparity, .npy, .png, .pfm, .exr or .tif; near is large
"""

import pathlib
from collections.abc import Sequence

import numpy as np

from depthjax.data.errors import noise
from depthjax.data.sources import photos, prepared, reading, remote
from depthjax.files import depth
from depthjax.files.errors import InputError

_LAYOUT = 'a folder with photos/NAME.jpg and disparity/NAME.png, .npy, .pfm, .exr or .tif'


class Prepared(Sequence):
  """Records of a prepared dataset 'tfds:NAME' with image, disparity and valid; picklable.

  A record is `image` uint8 [h w 3], with a long side of at most photos.SIDE, `disparity` float32
  [h w] in [0, 1], holes filled, and `valid` bool [h w].

  Raises ValueError: as prepared.open_part; on access, a record that cannot be decoded, whose maps
  have another aspect ratio than its image, or whose disparity is constant.
  """

  def __init__(self, where: str, split: str):
    self.part = prepared.open_part(where, split, ('image', 'disparity', 'valid'))

  def __len__(self) -> int:
    return len(self.part.chosen)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    record, name = self.part.read(index), self.part.names[index]
    image, values, valid = (np.asarray(record[x]) for x in self.part.fields)
    if image.ndim != 3 or values.shape != valid.shape or values.shape[2:] != (1,):
      shapes = f'{image.shape}, {values.shape}, {valid.shape}'
      raise InputError(name, f'has shapes {shapes}', '[h w 3], [h w 1] and [h w 1]')
    image = np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))
    raw = np.where(valid > 0, values, np.nan)[..., 0]
    return _record(reading.reduce(image, photos.SIDE), raw, name)


class Folder(Sequence):
  """Records as those of Prepared, of a folder or its URL; NaN in a disparity is unknown; picklable.

  Raises ValueError: the folder does not exist, has no photo of the split, or a photo has no
  disparity; on access, as Prepared.
  """

  def __init__(self, where: str, split: str):
    folder = remote.fetch(where)
    if not (folder / 'photos').is_dir() or not (folder / 'disparity').is_dir():
      raise InputError(where, 'has no photos with disparity', _LAYOUT)
    self.photos = photos.open_photos(str(folder / 'photos'), split)
    maps = {x.stem: x for x in sorted((folder / 'disparity').iterdir()) if _is_map(x)}
    names = [pathlib.Path(name) for name in self.photos.names]
    if missing := next((x for x in names if x.stem not in maps), None):
      raise InputError(missing, 'has no disparity', f'{folder}/disparity/{missing.stem}.png')
    self.maps = [maps[name.stem] for name in names]

  def __len__(self) -> int:
    return len(self.maps)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    raw = depth.read_raw(self.maps[index])
    return _record(self.photos[index], raw, self.maps[index])


def open_rgbd(where: str, split: str) -> Sequence:
  """The records of 'tfds:NAME[:SPLIT]', or of a folder; errors as those of Prepared and Folder."""
  return (Prepared if where.startswith('tfds:') else Folder)(where, split)


def _is_map(path):
  return path.suffix.lower() in depth.EXTENSIONS


def _record(image, raw, name):
  """The map at the image's size and in [0, 1]; raises InputError as depth.normalise."""
  read = depth.normalise(raw, shape=image.shape[:2], name=name)
  valid = noise.resized(read.valid.astype(np.float32), image.shape[:2]) > 0.5
  return {'image': image, 'disparity': read.disparity[..., 0], 'valid': valid}
