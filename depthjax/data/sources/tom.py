"""Photos with masks of transparent and mirror surfaces (ToM) and labels: folders, prepared sets."""

import pathlib
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from depthjax.data.sources import holdout, photos, prepared, reading, remote
from depthjax.files import depth, images, metadata
from depthjax.files import masks as mask_files
from depthjax.files.errors import InputError

_IMAGES = 'images', 'image'
_MASKS = '.npy', '.png', '.tif', '.tiff'  # As of depthjax tom-labels, the first that exists.
_SPLITS = {'train': 'train', 'val': 'validation', 'test': 'test'}
_Files = tuple[pathlib.Path, pathlib.Path | None, pathlib.Path | None]  # Photo, mask, label.


class Labelled(Sequence):
  """Photos of a split of one location; picklable.

  The location is 'tfds:NAME[:SPLIT]', or a folder or its URL with images/NAME.*, MASKS/NAME.png
  (also NAME_mask or NAME-mask, TIFF or NPY, a cut-out) and LABELS/NAME.npy; or image/ and mask/;
  also one level deeper, such as in easy/ and hard/. If it has folders train/, validation/ and
  test/, those are the splits; missing ones are parts of train/, and a folder without them is
  divided by a hash of the names.

  A record is `image` uint8 [h w 3], with a long side of at most photos.SIDE; `tom` bool [h w],
  where any channel of the mask is above 0; and float32 `label` [h' w'] of any size, unless `labels`
  is ''. Photos with labels need no mask: without one `tom` is false.

  Raises ValueError: as prepared.open_part, no photo, or one without mask or label; on access, a
  file that cannot be decoded, a mask of another size, or a label that is not finite.
  """

  def __init__(self, where: str, split: str, labels: str, masks: str = 'masks'):
    self.labels, self.part, self.files = labels, None, []
    if where.startswith('tfds:'):
      self.part = prepared.open_part(where, split, ('image', 'mask', 'label')[: 3 if labels else 2])
      return
    folder, split = _part(remote.fetch(where), split)
    inner = sorted(x for name in _IMAGES for at in ('', '*/') for x in folder.glob(at + name))
    paths = (path for part in inner for path in sorted(part.rglob('*')))
    found = [path for path in paths if path.suffix.lower() in reading.SUFFIXES]
    if not found:
      right = 'images/NAME.jpg and masks/NAME.png, or the layout of Trans10K or MSD'
      raise InputError(folder, 'has no photos', right)
    names = [path.relative_to(folder).as_posix() for path in found]
    self.files = [_partners(found[i], labels, masks) for i in holdout.members(names, split, where)]

  def __len__(self) -> int:
    return len(self.part.chosen if self.part else self.files)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    if self.part:
      name, record = self.part.names[index], self.part.read(index)
      image, mask = np.asarray(record['image']), np.asarray(record['mask']).max(-1)
      image, size = reading.reduce(image, photos.SIDE), image.shape[:2]
      file, label = name, record['label'][..., 0] if self.labels else None
    else:
      photo, name, file = self.files[index]
      image, size = reading.read_photo(photo, side=photos.SIDE), _size(photo)
      mask = mask_files.read_largest(name) if name else np.zeros(size, bool)
      label = depth.read_raw(file) if file else None
    if mask.shape != size:
      wrong, right = (f'is {x[1]} x {x[0]} pixels' for x in (mask.shape, size))
      raise InputError(name, f'{wrong}, but its photo {right}', 'the same size')
    covered = (mask > 0).astype(np.uint8) * 255
    covered = cv2.resize(covered, image.shape[1::-1], interpolation=cv2.INTER_AREA) > 127
    if label is None:
      return {'image': image, 'tom': covered}
    if not np.isfinite(label).all():
      raise InputError(file, 'has a label with missing values', 'finite ones')
    return {'image': image, 'tom': covered, 'label': np.asarray(label, np.float32)}


def _part(folder: pathlib.Path, split: str) -> tuple[pathlib.Path, str]:
  """The folder of a split, and the part of it: 'all', or a split by the hash of the names."""
  has = {name for name, inner in _SPLITS.items() if (folder / inner).is_dir()}
  if 'train' not in has:
    return folder, split
  complete = split in has and (split != 'train' or len(has) == len(_SPLITS))
  return folder / _SPLITS[split if split in has else 'train'], 'all' if complete else split


def _partners(photo: pathlib.Path, labels: str, masks: str) -> _Files:
  inner = next(x for x in photo.parents if x.name in _IMAGES)
  path = photo.relative_to(inner)
  folder = inner.parent / ('mask' if (inner.name, masks) == ('image', 'masks') else masks)
  stems = [folder / path.with_name(f'{path.stem}{end}') for end in ('', '_mask', '-mask')]
  choices = (stem.with_name(f'{stem.name}{ending}') for stem in stems for ending in _MASKS)
  mask = next(filter(pathlib.Path.is_file, choices), None)
  label = inner.parent / labels / path.with_suffix('.npy') if labels else None
  if label and not label.is_file():
    raise InputError(photo, 'has no label', f'{label}, as depthjax tom-labels writes it')
  if not (mask or label):
    raise InputError(photo, 'has no mask', f'{stems[0]}.png')
  return photo, mask, label


def _size(photo: pathlib.Path) -> tuple[int, int]:
  """Height and width of the upright photo, by its header."""
  with images.opened(photo) as image:
    # That of a PngImageFile decodes the pixels.
    is_turned = Image.Image.getexif(image).get(metadata.ORIENTATION, 1) > 4
    return image.size if is_turned else image.size[::-1]
