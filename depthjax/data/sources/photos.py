"""Random-access sources of photos [h w 3] and of foregrounds with alpha [h w 4], uint8 sRGB.

A source is a sequence that decodes images on demand and caches a bounded number of bytes. It is
pickled as its list of names, without images, so worker processes can receive it.
"""

import collections
import importlib.util
import logging
import pathlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from depthjax.data.sources import mixtures, prepared, reading, remote
from depthjax.data.sources.holdout import members
from depthjax.files.errors import InputError

SIDE = 1280  # Images are reduced to a long side of at most this many px.
CACHE_BYTES = 512 * 2**20
MAX_SKIPPED = 0.05  # Maximum fraction of items that cannot be read; one is always allowed.

# The photos inside the scikit-image wheel, by split. (Its other images are downloaded, or are
# drawings.) The stereo pair `motorcycle` is an evaluation scene, so it is not used.
BUILT_IN = {
  'train': (
    'astronaut.png camera.png coins.png grass.png hubble_deep_field.jpg ihc.png moon.png page.png '
    'rocket.jpg'
  ),
  'val': 'coffee.png gravel.png',
  'test': 'brick.png chelsea.png text.png',
}


class Source(Sequence):
  """Images that are loaded on demand, with a least-recently-used cache of CACHE_BYTES.

  `names` are those of the items, for messages; `load` is picklable: item number -> uint8 [h w c].
  """

  def __init__(self, names: Iterable[str], load: Callable[[int], np.ndarray]):
    self.names, self.load = tuple(names), load
    self._cache, self._cached_bytes = collections.OrderedDict(), 0
    self._lock = threading.Lock()

  def __len__(self) -> int:
    return len(self.names)

  def __getitem__(self, index: int) -> np.ndarray:
    index = range(len(self))[index]
    with self._lock:
      if index in self._cache:
        self._cache.move_to_end(index)
        return self._cache[index]
    image = self.load(index)
    image.flags.writeable = False  # All readers get the same array.
    with self._lock:
      if index not in self._cache:
        self._cache[index] = image
        self._cached_bytes += image.nbytes
      while self._cached_bytes > CACHE_BYTES:
        self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
    return image

  def __reduce__(self):
    return Source, (self.names, self.load)


class Skipping(Sequence):
  """Replaces each item that cannot be read by the next one that can, or by None.

  Each failed item is logged once. Its replacement depends on the files alone, so an example remains
  a function of its number. `where` names the source in messages.

  Raises InputError: on access, if more than MAX_SKIPPED of the items failed in this process.
  """

  def __init__(self, source: Sequence, where: str, *, replace: bool = True):
    self.source, self.where, self.replace, self.bad = source, where, replace, {}

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> Any:
    for step in range(len(self) if self.replace else 1):
      at = (index + step) % len(self)
      if at not in self.bad:
        try:
          return self.source[at]
        except ValueError as error:
          self._skip(at, error)
    if len(self.bad) < len(self):
      return None
    first = next(iter(self.bad.values()))
    raise InputError(self.where, f'none of {len(self)} items can be read ({first})', 'intact files')

  def _skip(self, at, error):
    self.bad[at] = str(error)
    if len(self.bad) > max(1, MAX_SKIPPED * len(self)):
      wrong = f'{len(self.bad)} of {len(self)} items cannot be read (last: {error})'
      right = f'intact files; at most {MAX_SKIPPED:.0%} of a source may be unreadable'
      raise InputError(self.where, wrong, right) from error
    # Logged last: other reading threads would go on logging while the run stops.
    logging.getLogger(__name__).warning('skipped (%d so far): %s', len(self.bad), error)


def open_items(fields: Mapping[str, Any], name: str, split: str) -> Sequence | None:
  """The items of all sources in a field, 'photo_source' or 'foreground_source', of `data`.

  Items that cannot be read are skipped. None if the field is ''.

  Raises ValueError: as mixtures.parse, open_photos and open_foregrounds.
  """
  opened = {'photo_source': open_photos, 'foreground_source': open_foregrounds}[name]
  parts = mixtures.parse(fields[name])
  sources = [Skipping(opened(part.where, split), part.where) for part in parts]
  if len(sources) < 2:
    return sources[0] if sources else None
  return mixtures.Mixture(sources, [part.weight for part in parts])


def open_photos(where: str, split: str = 'train') -> Source:
  """Photos of one location, as in a config.

  Args:
    where: 'builtin' (the photos inside the scikit-image wheel), 'tfds:NAME[:SPLIT]' (a prepared
      dataset with the feature 'image', see prepared.open_part), or a folder or its URL, read with
      subfolders.
    split: 'train', 'val', 'test' (disjoint) or 'all'.

  Raises ValueError: the location does not exist, or has no photo of this split.
  """
  if where.startswith('tfds:'):
    part = prepared.open_part(where, split, ('image',))
    return Source(part.names, prepared.Images(part, SIDE))
  if where == 'builtin':
    names = (' '.join(BUILT_IN.values()) if split == 'all' else BUILT_IN[split]).split()
    folder = pathlib.Path(importlib.util.find_spec('skimage').origin).parent / 'data'
    return Source(names, _Loader(reading.read_photo, [(folder / name,) for name in names]))
  files = _images(remote.fetch(where, _is_image), split, where)
  return Source(map(str, files), _Loader(reading.read_photo, [(file,) for file in files]))


def open_foregrounds(where: str, split: str = 'train') -> Source:
  """Foregrounds with mattes of one location: uint8 [h w 4], as reading.complete gives them.

  Args:
    where: a folder, or its URL, with `photos/NAME.*` and `mattes/NAME.png`, or with RGBA PNGs; or
      'tfds:NAME[:SPLIT]', a prepared dataset with the features 'image' and 'matte' or 'mask'.
    split: as open_photos.

  Raises ValueError: the location does not exist or is empty, or a photo has no matte.
  """
  if where.startswith('tfds:'):
    part = prepared.open_part(where, split, ('image', ('matte', 'mask')))
    return Source(part.names, prepared.Images(part, SIDE))
  folder = remote.fetch(where, _is_image)
  pairs = (folder / 'photos').is_dir() or (folder / 'mattes').is_dir()
  files = _images(folder / 'photos' if pairs else folder, split, where)
  if not pairs:
    return Source(map(str, files), _Loader(reading.read_cutout, [(file,) for file in files]))
  paths = [(file, folder / 'mattes' / f'{file.stem}.png') for file in files]
  for file, matte in paths:
    if not matte.is_file():
      raise ValueError(f'{file}: the photo has no matte; put one at {matte}')
  return Source(map(str, files), _Loader(reading.read_foreground, paths))


class _Loader(NamedTuple):
  """Item number -> image, read by a function of `reading` from one or two files."""

  read: Callable[..., np.ndarray]
  paths: list[tuple[pathlib.Path, ...]]

  def __call__(self, index: int) -> np.ndarray:
    return self.read(*self.paths[index], side=SIDE)


def _images(folder, split, where):
  if not folder.is_dir():
    raise ValueError(f'{folder}: no such folder; give a folder of photos')
  files = sorted(file for file in folder.rglob('*') if _is_image(file.name))
  if not files:
    kinds = ', '.join(reading.SUFFIXES)
    raise ValueError(f'{folder}: no image in it; give a folder with {kinds} files')
  return [files[i] for i in members([file.name for file in files], split, where)]


def _is_image(name):
  return pathlib.PurePath(name).suffix.lower() in reading.SUFFIXES
