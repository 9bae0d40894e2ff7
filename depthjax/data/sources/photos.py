"""Random-access sources of photos [h w 3] and of foregrounds with alpha [h w 4], uint8 sRGB.

A source is a sequence that decodes on demand and keeps a bounded number of bytes. It pickles as
its list of names, so worker processes can take it. `open_photos` and `open_foregrounds` make one
from what a user writes in a config.
"""

import collections
import importlib.util
import logging
import pathlib
import threading
from collections.abc import Callable, Sequence

import numpy as np

from depthjax.data.sources import mixtures, places, prepared, reading
from depthjax.data.sources.holdout import members
from depthjax.files.errors import InputError

SIDE = 1280  # photos are kept at a long side of at most this many px
CACHE_BYTES = 512 * 2**20
SPLITS = ('train', 'val', 'test', 'all')
_SOUND = 'images that can be decoded'

# The photographs inside the scikit-image wheel (its other pictures are fetched from the network,
# or are drawings), by split. The stereo pair `motorcycle` is left out on purpose: it is an
# evaluation scene of stereo. Held out are a colour photo, a texture and a scene for either split.
BUILT_IN = {
  'train': (
    'astronaut.png',
    'camera.png',
    'coins.png',
    'grass.png',
    'hubble_deep_field.jpg',
    'ihc.png',
    'moon.png',
    'page.png',
    'rocket.jpg',
  ),
  'val': ('coffee.png', 'gravel.png'),
  'test': ('brick.png', 'chelsea.png', 'text.png'),
}


class Source(Sequence):
  """Images that are loaded on demand and cached, the longest unused leaving first.

  Args:
    names: what an item is called in messages, one name an item.
    load: item number -> uint8 [h w c]; must be picklable.
    cache_bytes: bound on the decoded images kept.
  """

  def __init__(self, names: Sequence[str], load: Callable, *, cache_bytes: int = CACHE_BYTES):
    self.names, self.load, self.cache_bytes = tuple(names), load, cache_bytes
    self._start_cache()

  def __len__(self) -> int:
    return len(self.names)

  def __getitem__(self, index: int) -> np.ndarray:
    index = range(len(self))[index]
    with self._lock:
      if index in self._cache:
        self._cache.move_to_end(index)
        return self._cache[index]
    image = self.load(index)
    image.flags.writeable = False  # it is shared by all who ask for it
    with self._lock:
      if index not in self._cache:
        self._cache[index] = image
        self._held += image.nbytes
      while self._held > self.cache_bytes:
        self._held -= self._cache.popitem(last=False)[1].nbytes
    return image

  def __getstate__(self):
    return {'names': self.names, 'load': self.load, 'cache_bytes': self.cache_bytes}

  def __setstate__(self, state):
    self.__dict__.update(state)
    self._start_cache()

  def _start_cache(self):
    self._cache, self._held = collections.OrderedDict(), 0
    self._lock = threading.Lock()


class Skipping(Sequence):
  """A source whose undecodable items are replaced by the next decodable one.

  Each such item is logged once and counted; the replacement depends on the files alone, so an
  example stays a function of its number.

  Args:
    where: what the source is called in messages, such as its folder.
    share: the share of items that may fail (one always may) in one process.
    sound: what the items should be.

  Raises:
    files.errors.InputError: on access, when more than that share has failed.
  """

  def __init__(self, source: Sequence, where: str, *, share: float = 0.05, sound: str = _SOUND):
    if not 0 <= share < 1:
      raise ValueError(f'share is {share}; it must lie in [0, 1)')
    self.source, self.where, self.share, self.sound, self.bad = source, where, share, sound, {}

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> np.ndarray:
    for step in range(len(self)):
      at = (index + step) % len(self)
      if at not in self.bad:
        try:
          return self.source[at]
        except ValueError as error:
          self._note(at, error)
    first = next(iter(self.bad.values()))
    raise InputError(self.where, f'none of {len(self)} items can be read ({first})', self.sound)

  def _note(self, at, error):
    self.bad[at] = str(error)
    if len(self.bad) > max(1, self.share * len(self)):
      wrong = f'{len(self.bad)} of {len(self)} items cannot be read, at last {error}'
      right = f'{self.sound}: at most a share of {self.share} is skipped'
      raise InputError(self.where, wrong, right) from error
    # Not before: threads that read ahead would go on to say so while the run ends.
    logging.getLogger(__name__).warning('skipped (%d so far): %s', len(self.bad), error)


def open_items(text: str, split: str, opened: Callable[[str, str], Sequence]) -> Sequence | None:
  """The items of all parts of a source of a config, as `opened(path, split)` gives them.

  Undecodable ones are skipped. None where the source is ''.

  Raises:
    ValueError: as mixtures.parse and `opened`.
  """
  parts = mixtures.parse(text)
  ready = [Skipping(opened(part.where, split), part.where) for part in parts]
  if len(ready) < 2:
    return ready[0] if ready else None
  return mixtures.Mixture(ready, [part.weight for part in parts])


def open_photos(where: str, split: str = 'train', *, side: int = SIDE) -> Source:
  """Photos by what a user writes.

  Args:
    where: 'builtin' (the photographs inside the scikit-image wheel), 'tfds:NAME[:SPLIT]' (a
      prepared dataset with a feature 'image'), or a folder or its URL, read with its subfolders.
    split: 'train', 'val', 'test' (disjoint) or 'all'.
    side: longest side kept, px.

  Raises:
    ValueError: there is no such place, no image in it, or none of this split.
  """
  _check_split(split)
  if where == 'builtin':
    return built_in_photos(split, side=side)
  if where.startswith('tfds:'):
    return dataset_photos(where, split, side=side)
  files = _images(where)
  kept = [files[i] for i in members([file.name for file in files], split, where)]
  return Source([str(file) for file in kept], _PhotoLoader(kept, side))


def built_in_photos(split: str = 'train', *, side: int = SIDE) -> Source:
  """The photographs shipped inside scikit-image, by the table BUILT_IN."""
  _check_split(split)
  folder = pathlib.Path(importlib.util.find_spec('skimage').origin).parent / 'data'
  names = sum(BUILT_IN.values(), ()) if split == 'all' else BUILT_IN[split]
  return Source(names, _PhotoLoader([folder / name for name in names], side))


def dataset_photos(where: str, split: str = 'train', *, side: int = SIDE, data_dir=None) -> Source:
  """Photos of a prepared dataset, `tfds:NAME[:SPLIT]`: the feature 'image'; see prepared.open_part.

  Raises:
    ValueError: as prepared.open_part, or a dataset without photos.
  """
  _check_split(split)
  part = prepared.open_part(where, split, ('image',), data_dir=data_dir)
  return Source(part.names, prepared.Photos(part, side))


def dataset_foregrounds(
  where: str, split: str = 'train', *, side: int = SIDE, data_dir=None
) -> Source:
  """Foregrounds of a prepared dataset: its 'image' cut out by its 'matte', or else its 'mask'.

  Raises:
    ValueError: as prepared.open_part, or a dataset without mattes and masks.
  """
  _check_split(split)
  part = prepared.open_part(where, split, ('image', ('matte', 'mask')), data_dir=data_dir)
  return Source(part.names, prepared.Foregrounds(part, side))


def open_foregrounds(where: str, split: str = 'train', *, side: int = SIDE) -> Source:
  """Foregrounds with mattes: uint8 [h w 4], straight alpha, colour complete beneath it.

  Args:
    where: a folder, or its URL, that holds `photos/NAME.*` and `mattes/NAME.png`, or RGBA PNGs;
      or 'tfds:NAME[:SPLIT]', a prepared dataset of images and mattes.

  Raises:
    ValueError: the folder is missing or empty, or a photo has no matte.
  """
  _check_split(split)
  if where.startswith('tfds:'):
    return dataset_foregrounds(where, split, side=side)
  folder = places.fetch(where, _is_image)
  pairs = (folder / 'photos').is_dir() or (folder / 'mattes').is_dir()
  files = _images(folder / 'photos' if pairs else folder)
  kept = [files[i] for i in members([file.name for file in files], split, where)]
  mattes = [folder / 'mattes' / f'{file.stem}.png' for file in kept] if pairs else None
  for file, matte in zip(kept, mattes or (), strict=bool(mattes)):
    if not matte.is_file():
      raise ValueError(f'{file}: the photo has no matte; put one at {matte}')
  return Source([str(file) for file in kept], _ForegroundLoader(kept, mattes, side))


class _PhotoLoader:
  def __init__(self, files, side):
    self.files, self.side = files, side

  def __call__(self, index):
    return reading.read_photo(self.files[index], side=self.side)


class _ForegroundLoader:
  def __init__(self, files, mattes, side):
    self.files, self.mattes, self.side = files, mattes, side

  def __call__(self, index):
    if self.mattes is None:
      return reading.read_cutout(self.files[index], side=self.side)
    return reading.read_foreground(self.files[index], self.mattes[index], side=self.side)


def _images(where):
  folder = places.fetch(str(where), _is_image)
  if not folder.is_dir():
    raise ValueError(f'{folder}: no such folder; give a folder of photos')
  files = sorted(file for file in folder.rglob('*') if _is_image(file.name))
  if not files:
    raise ValueError(
      f'{folder}: no image in it; give a folder with {", ".join(reading.SUFFIXES)} files'
    )
  return files


def _is_image(name):
  return pathlib.PurePath(name).suffix.lower() in reading.SUFFIXES


def _check_split(split):
  if split not in SPLITS:
    raise ValueError(f'split is {split!r}; it must be one of {", ".join(SPLITS)}')
