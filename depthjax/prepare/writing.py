"""Writes a dataset as a TFDS dataset of array_record shards in TARGET/NAME/VERSION.

A GeneratorBasedBuilder writes it, which does not import TensorFlow if images are already encoded.
Beside the shards are dataset_info.json (name, version, splits and their counts, licence),
features.json, and metadata.json (skipped records, and the long side).
"""

import contextlib
import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from depthjax.data.sources.holdout import members
from depthjax.files import images
from depthjax.files.disk import write_errors
from depthjax.files.errors import InputError
from depthjax.prepare import pictures
from depthjax.prepare.catalogue import DATASETS
from depthjax.prepare.entries import Entry, Found, Record

VERSION = '1.0.0'
SPLITS = ('train', 'val', 'test')
_COLOUR = tfds.features.Image(shape=(None, None, 3), encoding_format='png')
_GREY = tfds.features.Image(shape=(None, None, 1), encoding_format='png')
FEATURES = {
  'name': tfds.features.Text(),
  'image': _COLOUR,
  'target': _COLOUR,
  'matte': _GREY,
  'mask': _GREY,
  'tom': _GREY,
  'valid': _GREY,
  'disparity': tfds.features.Tensor(shape=(None, None, 1), dtype=np.float32, encoding='zlib'),
  'blur': tfds.features.Scalar(dtype=np.float32),
  'focus': tfds.features.Scalar(dtype=np.float32),
  'unit': tfds.features.Text(),
  'pfm_scale': tfds.features.Scalar(dtype=np.float32),
}


class Prepared(NamedTuple):
  """The folder of the version, the number of records by split, and a line per skipped record."""

  folder: Path
  counts: dict[str, int]
  skipped: list[str]


def prepare(
  name: str,
  source: Path,
  target: Path,
  *,
  long_side: int | None = None,
  max_bad: float = 0.05,
  track: Callable[[Iterable[Entry]], Iterable[Entry]] = iter,
) -> Prepared:
  """Reads a dataset of the catalogue and writes it to TARGET/NAME/1.0.0, completely or not at all.

  The splits val and test are chosen by a hash of the group's name, the same on every machine; the
  order in the shards is by a hash of the record's name. Bad records are skipped and counted.

  Args:
    name: of catalogue.DATASETS.
    source: the dataset as it was downloaded and unpacked.
    target: folder of prepared datasets (TFDS_DATA_DIR); created if it does not exist.
    long_side: pixels to which larger records are reduced; None does not reduce.
    max_bad: largest allowed fraction of bad records.
    track: wraps the entries of a split while they are read, to show progress.

  Raises InputError: an unusable source or target, too many bad records, or a full disk.
  """
  source, target = Path(source), Path(target)
  try:
    found = DATASETS[name].read(source)
  except OSError as error:
    wrong = f'cannot be read ({error.strerror or error})'
    raise InputError(error.filename or source, wrong, 'folders that can be listed') from error
  splits = _split(source, found)
  path = target / name / VERSION
  if path.exists():
    raise InputError(path, 'exists already', 'another --target, or remove it first')
  loader = _Loader(source, len(found.entries), long_side, max_bad)
  with _temporary(target, path) as temporary:
    records = {split: loader.records(track(entries), split) for split, entries in splits.items()}
    # TFDS takes the dataset's name from the class, and looks for files beside its module.
    attributes = {'name': name, '__module__': name}
    builder = type(name, (_Builder,), attributes, skip_registration=True)
    builder = builder(records, found.fields, loader.metadata, data_dir=temporary)
    with contextlib.redirect_stdout(io.StringIO()), _without_progress_bars():
      builder.download_and_prepare()
  return Prepared(path, loader.counts, loader.skipped)


def _split(source: Path, found: Found) -> dict[str, list[Entry]]:
  groups = sorted({entry.group for entry in found.entries})
  try:
    chosen = {split: {groups[i] for i in members(groups, split)} for split in SPLITS}
  except ValueError as error:
    wrong = f'holds {len(groups)} scenes (or images without a scene)'
    raise InputError(source, wrong, 'at least 3: one each for train, val and test') from error
  return {
    split: [entry for entry in found.entries if entry.group in chosen[split]] for split in SPLITS
  }


class _Loader:
  """Loads entries one by one and counts bad ones."""

  def __init__(self, source: Path, total: int, long_side: int | None, max_bad: float):
    self.source, self.total, self.long_side, self.max_bad = source, total, long_side, max_bad
    self.counts, self.skipped = dict.fromkeys(SPLITS, 0), []
    # Written by the builder after all records.
    self.metadata = {'skipped': self.skipped, 'long_side': long_side, 'counts': self.counts}

  def records(self, entries: Iterable[Entry], split: str) -> Iterator[tuple[str, Record]]:
    """(name, record with encoded images) of each good entry."""
    for entry in entries:
      try:
        record = entry.load()
      except InputError as error:
        self._skip(error)
        continue
      self.counts[split] += 1
      yield entry.name, _encoded({**pictures.reduced(record, self.long_side), 'name': entry.name})
    if not self.counts[split]:
      wrong = f'holds no good record for the split {split}; the last: {_short(self.skipped[-1])}'
      raise InputError(self.source, wrong, 'a complete dataset')

  def _skip(self, error: InputError) -> None:
    self.skipped.append(str(error))
    if len(self.skipped) > self.max_bad * self.total:
      wrong = (
        f'{len(self.skipped)} of {self.total} records are bad, more than the fraction '
        f'{self.max_bad:g}; the first: {_short(self.skipped[0])}'
      )
      raise InputError(self.source, wrong, 'a complete dataset, or a larger --max-bad') from error


def _short(message: str) -> str:
  """A message without its '; expected ...', to quote in another message."""
  return message.rpartition('; expected')[0]


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  VERSION = tfds.core.Version(VERSION)

  def __init__(self, splits, fields, metadata, **options: Any):
    self._splits, self._fields, self._metadata = splits, fields, metadata
    super().__init__(file_format='array_record', **options)

  def _info(self):
    features = {name: FEATURES[name] for name in ('name', *self._fields)}
    return tfds.core.DatasetInfo(
      builder=self,
      description=f'{self.name}, prepared by depthjax; val and test by a hash of the name.',
      features=tfds.features.FeaturesDict(features),
      license=DATASETS[self.name].licence,
      metadata=tfds.core.MetadataDict(self._metadata),
    )

  def _split_generators(self, dl_manager):
    return self._splits

  def _generate_examples(self):
    raise NotImplementedError('the splits are generators already')


def _encoded(record: Record) -> Record:
  return {
    name: io.BytesIO(images.encode('image.png', value)) if _is_image(value) else value
    for name, value in record.items()
  }


def _is_image(value: Any) -> bool:
  return isinstance(value, np.ndarray) and value.dtype == np.uint8


@contextlib.contextmanager
def _temporary(target: Path, path: Path) -> Iterator[Path]:
  """A temporary data folder in `target`; the dataset in it is moved to `path` on success."""
  if target.exists() and not target.is_dir():
    raise InputError(target, 'is not a folder', 'a folder, or a new name for one')
  created = [folder for folder in (path.parent, target, *target.parents) if not folder.exists()]
  temporary = target / f'.{secrets.token_hex(8)}'
  try:
    with write_errors(target):
      temporary.mkdir(parents=True)
      yield temporary
      path.parent.mkdir(exist_ok=True)
      os.replace(temporary / path.parent.name / path.name, path)
  finally:
    shutil.rmtree(temporary, ignore_errors=True)
    for folder in created:
      with contextlib.suppress(OSError):  # It is not empty after a success.
        folder.rmdir()


@contextlib.contextmanager
def _without_progress_bars() -> Iterator[None]:
  tfds.disable_progress_bar()
  try:
    yield
  finally:
    tfds.enable_progress_bar()
