"""The prepared form: a TFDS dataset of array_record shards in TARGET/NAME/VERSION.

It is written by a GeneratorBasedBuilder, which imports no TensorFlow as long as pictures come to it
encoded. Beside the shards lie dataset_info.json (name, version, splits and their counts, licence),
features.json, and metadata.json (what was skipped, and the long side).
"""

import contextlib
import errno
import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import tensorflow_datasets as tfds

from depthjax.data.sources.holdout import members
from depthjax.files.errors import InputError
from depthjax.prepare import pictures
from depthjax.prepare.catalogue import DATASETS
from depthjax.prepare.entries import Entry, Found, Record

VERSION = '1.0.0'
SPLITS = ('train', 'val', 'test')
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)
_COLOUR = tfds.features.Image(shape=(None, None, 3), encoding_format='png')
_GREY = tfds.features.Image(shape=(None, None, 1), encoding_format='png')
FEATURES = {
  'name': tfds.features.Text(),
  'image': _COLOUR,
  'target': _COLOUR,
  'matte': _GREY,
  'mask': _GREY,
  'valid': _GREY,
  'disparity': tfds.features.Tensor(shape=(None, None, 1), dtype=np.float32, encoding='zlib'),
  'blur': tfds.features.Scalar(dtype=np.float32),
  'focus': tfds.features.Scalar(dtype=np.float32),
  'unit': tfds.features.Text(),
  'pfm_scale': tfds.features.Scalar(dtype=np.float32),
}


class Prepared(NamedTuple):
  """What was written: the folder of the version, records by split, and a line for each skipped."""

  folder: Path
  counts: dict[str, int]
  skipped: list[str]


def prepare(
  name: str,
  source: Path,
  target: Path,
  *,
  long_side: int | None = None,
  most_bad: float = 0.05,
  track: Callable[[Iterable[Entry]], Iterable[Entry]] = iter,
) -> Prepared:
  """Reads a dataset of the catalogue and writes it to TARGET/NAME/1.0.0, all or nothing.

  Records are held out (val, test) by a hash of their group's name, the same on every machine; the
  order in the shards is by a hash of their names. A bad record is skipped and counted.

  Args:
    name: of catalogue.DATASETS.
    source: the dataset as it was downloaded and unpacked.
    target: folder of prepared datasets (TFDS_DATA_DIR); made if it is missing.
    long_side: pixels to which larger records are reduced; None keeps all.
    most_bad: share of the records that may be bad.
    track: wraps the entries of a split while they are read, to show progress.

  Raises:
    InputError: a source or target that cannot work, too many bad records, or a full disk.
  """
  source, target = Path(source), Path(target)
  found = _found(name, source)
  parts = _split(source, found)
  place = target / name / VERSION
  if place.exists():
    raise InputError(place, 'exists already', 'another --target, or remove it first')
  reading = _Reading(source, len(found.entries), long_side, most_bad)
  with _beside(target, place) as temporary:
    splits = {split: reading.records(track(part), split) for split, part in parts.items()}
    builder = _builder(name)(splits, found.fields, reading.metadata, data_dir=temporary)
    with contextlib.redirect_stdout(io.StringIO()), _without_bars():
      builder.download_and_prepare()
  return Prepared(place, reading.counts, reading.skipped)


def _found(name: str, source: Path) -> Found:
  try:
    return DATASETS[name].read(source)
  except OSError as error:
    wrong = f'cannot be read ({error.strerror or error})'
    raise InputError(error.filename or source, wrong, 'folders that can be listed') from error


def _split(source: Path, found: Found) -> dict[str, list[Entry]]:
  groups = sorted({entry.group for entry in found.entries})
  try:
    held = {split: {groups[i] for i in members(groups, split)} for split in SPLITS}
  except ValueError as error:
    wrong = f'holds {len(groups)} scenes or pictures of their own'
    raise InputError(source, wrong, 'at least 3: train, val and test need one each') from error
  return {
    split: [entry for entry in found.entries if entry.group in held[split]] for split in SPLITS
  }


class _Reading:
  """Loads entries one by one, and counts those that are bad."""

  def __init__(self, source: Path, total: int, long_side: int | None, most_bad: float):
    self.source, self.total, self.long_side, self.most_bad = source, total, long_side, most_bad
    self.counts, self.skipped = dict.fromkeys(SPLITS, 0), []
    # The builder writes these when all is read.
    self.metadata = {'skipped': self.skipped, 'long_side': long_side, 'counts': self.counts}

  def records(self, entries: Iterable[Entry], split: str) -> Iterator[tuple[str, Record]]:
    """(key, record in the encoded form of the features) of the good ones."""
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
    if len(self.skipped) > self.most_bad * self.total:
      wrong = (
        f'{len(self.skipped)} of {self.total} records are bad, more than the share of '
        f'{self.most_bad:g} that may be; the first: {_short(self.skipped[0])}'
      )
      raise InputError(self.source, wrong, 'a complete dataset, or a larger --max-bad') from error


def _short(message: str) -> str:
  """A message without what would be right, to stand within another."""
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


def _builder(name: str) -> type[_Builder]:
  """TFDS reads the name of a dataset off its class, and would look for files beside its module."""
  return type(name, (_Builder,), {'name': name, '__module__': name}, skip_registration=True)


def _encoded(record: Record) -> Record:
  return {
    name: _png(value) if isinstance(value, np.ndarray) and value.dtype == np.uint8 else value
    for name, value in record.items()
  }


def _png(values: np.ndarray) -> io.BytesIO:
  done, data = cv2.imencode('.png', values[..., ::-1] if values.shape[-1] == 3 else values)
  if not done:
    raise ValueError(f'a picture of {values.shape} cannot be encoded')
  return io.BytesIO(data.tobytes())


@contextlib.contextmanager
def _beside(target: Path, place: Path) -> Iterator[Path]:
  """A temporary data folder in `target`; what was prepared in it is moved to `place` at the end."""
  if target.exists() and not target.is_dir():
    raise InputError(target, 'is not a folder', 'a folder, or a new name for one')
  made = [path for path in (place.parent, target, *target.parents) if not path.exists()]
  temporary = target / f'.{secrets.token_hex(8)}'
  try:
    temporary.mkdir(parents=True)
    yield temporary
    place.parent.mkdir(exist_ok=True)
    os.replace(temporary / place.parent.name / place.name, place)
    made = []
  except (OSError, RuntimeError) as error:
    # array_record tells what the system said of its files in a RuntimeError.
    reasons = (os.strerror(number) for number in _NOT_WRITABLE)
    reason = next((reason for reason in reasons if reason in str(error)), None)
    if reason is None:
      raise
    raise InputError(
      target, f'cannot be written ({reason})', 'a writable folder with free space'
    ) from error
  finally:
    shutil.rmtree(temporary, ignore_errors=True)
    for path in made:
      with contextlib.suppress(OSError):
        path.rmdir()


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
  tfds.disable_progress_bar()
  try:
    yield
  finally:
    tfds.enable_progress_bar()
