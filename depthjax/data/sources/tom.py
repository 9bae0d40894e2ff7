"""Photos with masks of transparent and mirror surfaces (ToM) and labels: folders, prepared sets."""

import pathlib
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from depthjax.data.sources import holdout, photos, prepared, reading, remote
from depthjax.files import depth, images
from depthjax.files.errors import InputError

# The folder of masks beside one of images.
_MASKS = {'images': 'masks', 'image': 'mask'}
_SPLITS = {'train': 'train', 'val': 'validation', 'test': 'test'}


class Labelled(Sequence):
  """Photos of a split of one location; picklable.

  The location is 'tfds:NAME[:SPLIT]', or a folder or its URL with images/NAME.* and masks/NAME.png
  or masks/NAME_mask.png (or image/ and mask/), and LABELS/NAME.npy; also one level deeper, such as
  in easy/ and hard/. If it has folders train/, validation/ and test/, those are the splits; missing
  ones are parts of train/, and a folder without them is divided by a hash of the names.

  A record is `image` uint8 [h w 3], with a long side of at most photos.SIDE; `tom` bool [h w],
  where the mask is above 0; and float32 `label` [h' w'] of any size, unless `labels` is ''.

  Raises ValueError: as prepared.open_part, no photo, or one without mask or label; on access, a
  file that cannot be decoded, a mask of another size, or a label that is not finite.
  """

  def __init__(self, where: str, split: str, labels: str):
    self.labels, self.part, self.files = labels, None, []
    if where.startswith('tfds:'):
      self.part = prepared.open_part(
        where, split, ('image', 'mask', *('label' for _ in labels[:1]))
      )
      return
    folder, split = _part(remote.fetch(where), split)
    found = list(_photos(folder))
    if not found:
      right = 'images/NAME.jpg and masks/NAME.png, or the layout of Trans10K or MSD'
      raise InputError(folder, 'has no photos', right)
    names = [path.relative_to(folder).as_posix() for path in found]
    self.files = [_partners(found[i], labels) for i in holdout.members(names, split, where)]

  def __len__(self) -> int:
    return len(self.part.chosen if self.part else self.files)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    if self.part:
      name, record = self.part.names[index], self.part.read(index)
      image = reading.reduce(np.asarray(record['image']), photos.SIDE)
      mask, label = np.asarray(record['mask']), record.get('label')
      label = label[..., 0] if self.labels else None
    else:
      photo, name, *file = self.files[index]
      image, mask = reading.read_photo(photo, side=photos.SIDE), images.read_pixels(name)
      label = depth.read_raw(*file) if file else None
    covered = _covered(name, mask, image.shape[:2])
    if label is None:
      return {'image': image, 'tom': covered}
    if not np.isfinite(label).all():
      raise InputError(file[0] if file else name, 'has a label with missing values', 'finite ones')
    return {'image': image, 'tom': covered, 'label': np.asarray(label, np.float32)}


def _part(folder: pathlib.Path, split: str) -> tuple[pathlib.Path, str]:
  """The folder of a split, and the part of it: 'all', or a split by the hash of the names."""
  has = {name for name, inner in _SPLITS.items() if (folder / inner).is_dir()}
  if 'train' not in has:
    return folder, split
  complete = split in has and (split != 'train' or len(has) == len(_SPLITS))
  return folder / _SPLITS[split if split in has else 'train'], 'all' if complete else split


def _photos(folder: pathlib.Path) -> Iterator[pathlib.Path]:
  for inner in sorted(
    x for name in _MASKS for x in (*folder.glob(name), *folder.glob(f'*/{name}'))
  ):
    yield from sorted(x for x in inner.rglob('*') if x.suffix.lower() in reading.SUFFIXES)


def _partners(photo: pathlib.Path, labels: str) -> list[pathlib.Path]:
  """The photo, its mask, and its label if there are any."""
  inner = next(x for x in photo.parents if x.name in _MASKS)
  path, masks = photo.relative_to(inner), inner.parent / _MASKS[inner.name]
  choices = [masks / path.with_name(f'{path.stem}{end}.png') for end in ('', '_mask')]
  mask = next((x for x in choices if x.is_file()), None)
  if mask is None:
    raise InputError(photo, 'has no mask', f'{choices[0]}')
  label = inner.parent / labels / path.with_suffix('.npy')
  if labels and not label.is_file():
    raise InputError(photo, 'has no label', f'{label}, as depthjax tom-labels writes it')
  return [photo, mask, label] if labels else [photo, mask]


def _covered(name: str | pathlib.Path, mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """Where a mask [h w] or [h w c] of any codes is above 0, resized to the photo's: bool [h w]."""
  covered = (mask.reshape(*mask.shape[:2], -1) > 0).any(-1)
  covered = reading.reduce(covered.astype(np.uint8) * 255, photos.SIDE)
  # Large JPEG files are decoded at a fraction of their size, which is rounded.
  if max(abs(a - b) for a, b in zip(covered.shape, shape, strict=True)) > 1:
    sizes = [f'{size[1]} x {size[0]}' for size in (mask.shape, shape)]
    raise InputError(name, f'is {sizes[0]}, but its photo is {sizes[1]}', 'the same size')
  return cv2.resize(covered, shape[::-1], interpolation=cv2.INTER_LINEAR) > 127
