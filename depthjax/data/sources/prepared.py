"""Prepared datasets (TFDS, array_record) as random-access records, read without TensorFlow."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from depthjax.data.sources import reading, remote
from depthjax.data.sources.holdout import members
from depthjax.files.errors import InputError

_SPLITS = ('train', 'val', 'test')


class Part(NamedTuple):
  """The records of one split of a dataset."""

  where: str  # The dataset as the user wrote it, for messages.
  records: Sequence[dict[str, Any]]  # All records of the dataset.
  chosen: list[int]  # Numbers of the records of this split.
  fields: tuple[str, ...]  # Names of the requested features.

  @property
  def names(self) -> list[str]:
    """Names of the records, for messages."""
    return [f'{self.where}[{i}]' for i in self.chosen]

  def read(self, index: int) -> dict[str, Any]:
    """One decoded record; raises ValueError if it cannot be decoded."""
    number = self.chosen[index]
    try:
      return self.records[number]
    except Exception as error:  # Decoders raise many types.
      raise ValueError(f'{self.where}[{number}]: cannot be decoded ({error})') from error


def open_part(where: str, split: str, needs: Sequence[str | tuple[str, ...]]) -> Part:
  """The split 'train', 'val', 'test' or 'all' of `tfds:NAME[:SPLIT]` or `tfds:FOLDER[:SPLIT]`.

  NAME is looked up in TFDS_DATA_DIR. FOLDER has a '/': it is DIR/NAME or DIR/NAME/VERSION, or the
  URL of one, such as gs://bucket/ebb, which is copied to this machine (see `remote`). If no SPLIT
  is named and the dataset has the splits train, val and test, as all datasets of `depthjax prepare`
  have, those are used. Otherwise SPLIT (default: 'train') is divided by a hash of the example's
  number, so that no example of 'val' or 'test' is used in training.

  Args:
    needs: features that the dataset must have; of a tuple of names, the first that exists.

  Raises ValueError: the dataset is not prepared here, or the split or a feature does not exist.
  """
  match = re.fullmatch(r'tfds:((?:[a-z0-9+.-]+://)?[^:]+(?::\d+\.\d+\.\d+)?)(?::([^:].*))?', where)
  if not match:
    raise ValueError(f'{where}: not a dataset; write tfds:NAME or tfds:NAME:SPLIT')
  try:
    builder = _builder(match[1])
    has_splits = match[2] is None and set(_SPLITS) <= builder.info.splits.keys()
    name = ('+'.join(_SPLITS) if split == 'all' else split) if has_splits else match[2] or 'train'
    records = builder.as_data_source(split=name)
  except InputError:
    raise
  except Exception as error:  # TFDS raises many types.
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise ValueError(f'{where}: not prepared on this machine ({reason})') from error
  has = records.dataset_info.features
  fields = tuple(_field(where, need, has) for need in needs)
  numbers = [str(i) for i in range(len(records))]
  return Part(where, records, members(numbers, 'all' if has_splits else split, where), fields)


def _builder(name):
  if '/' not in name:
    return tfds.builder(name)
  folder = remote.fetch(name)
  if not (folder / 'dataset_info.json').is_file():
    found = folder.glob('*/dataset_info.json')
    versions = {tfds.core.Version(file.parent.name): file.parent for file in found}
    if not versions:
      raise ValueError('no dataset_info.json in this folder or in one of its versions')
    folder = versions[max(versions)]
  return tfds.builder_from_directory(folder)


def _field(where, need, has):
  options = (need,) if isinstance(need, str) else need
  found = next((option for option in options if option in has), None)
  if found is None:
    named = ' or '.join(f"'{option}'" for option in options)
    raise ValueError(f'{where}: no feature {named}; it has {", ".join(sorted(has))}')
  return found


class Images(NamedTuple):
  """Loader: item number -> uint8 [h w 3], with a long side of at most `side` px.

  If the part has a second field, it becomes the alpha channel: [h w 4], as reading.complete.
  """

  part: Part
  side: int

  def __call__(self, index: int) -> np.ndarray:
    record, name = self.part.read(index), self.part.names[index]
    image, *alpha = (np.asarray(record[field]) for field in self.part.fields)
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype != np.uint8:
      raise ValueError(f'{name}: image is {image.dtype} {image.shape}; it must be uint8 [h w 3]')
    image = np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))
    if not alpha:
      return reading.reduce(image, self.side)
    alpha = alpha[0]
    if alpha.shape != (*image.shape[:2], 1) or alpha.dtype != np.uint8:
      raise ValueError(f'{name}: alpha is {alpha.dtype} {alpha.shape}; it must be uint8 [h w 1]')
    return reading.complete(image, alpha[..., 0], name, self.side)
