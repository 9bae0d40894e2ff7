"""Photos with disparity: prepared RGB-D datasets, and folders."""

import pathlib
from collections.abc import Sequence

import numpy as np

from depthjax.data.errors import noise
from depthjax.data.sources import photos, prepared, reading, remote
from depthjax.files import depth
from depthjax.files.errors import InputError


class Photos(Sequence):
  """Photos with disparity, near is large, of a split of one location; picklable.

  The location is 'tfds:NAME[:SPLIT]', or a folder or its URL with photos/NAME.* and maps
  disparity/NAME.*, in which NaN is unknown. A record is `image` uint8 [h w 3], with a long side of
  at most photos.SIDE, `disparity` float32 [h w] in [0, 1], holes filled, and `valid` bool [h w].

  Raises ValueError: as prepared.open_part and photos.open_photos, or a photo has no disparity; on
  access, a record that cannot be decoded, is constant, or has an image of another aspect ratio.
  """

  def __init__(self, where: str, split: str):
    self.part, self.photos, self.maps = None, (), []
    if where.startswith('tfds:'):
      self.part = prepared.open_part(where, split, ('image', 'disparity', 'valid'))
      return
    folder = remote.fetch(where)
    self.photos = photos.open_photos(str(folder / 'photos'), split)
    found = {x.stem: x for x in sorted((folder / 'disparity').glob('*')) if _is_map(x)}
    for name in map(pathlib.Path, self.photos.names):
      if name.stem not in found:
        right = f'{folder / "disparity" / name.stem} as .npy, .png, .pfm, .exr or .tif'
        raise InputError(name, 'has no disparity', right)
      self.maps.append(found[name.stem])

  def __len__(self) -> int:
    return len(self.part.chosen if self.part else self.photos)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    if self.part:
      name, record = self.part.names[index], self.part.read(index)
      image = reading.reduce(np.asarray(record['image']), photos.SIDE)
      raw = np.where(record['valid'] > 0, record['disparity'], np.nan)[..., 0]
    else:
      name, image = self.maps[index], self.photos[index]
      raw = depth.read_raw(name)
    if image.ndim != 3 or image.shape[2] != 3:
      raise InputError(name, f'has an image of shape {image.shape}', '[h w 3]')
    read = depth.normalise(raw, shape=image.shape[:2], name=name)
    valid = noise.resized(read.valid.astype(np.float32), image.shape[:2]) > 0.5
    return {'image': image, 'disparity': read.disparity[..., 0], 'valid': valid}


def _is_map(path):
  return path.suffix.lower() in depth.EXTENSIONS
