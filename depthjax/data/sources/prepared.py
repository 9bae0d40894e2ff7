"""Prepared datasets (TFDS, array_record) as random-access records, read without TensorFlow."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from depthjax.data.sources import places, reading
from depthjax.data.sources.holdout import members
from depthjax.files.errors import InputError

_OWN = ('train', 'val', 'test')


class Part(NamedTuple):
  """The records of one split: those of `records` with the numbers `chosen`, in this order.

  `fields` are the features that were asked for, by name.
  """

  where: str
  records: Sequence[dict[str, Any]]
  chosen: list[int]
  fields: tuple[str, ...]

  @property
  def names(self) -> list[str]:
    """What the records are called in messages."""
    return [f'{self.where}[{i}]' for i in self.chosen]

  def read(self, index: int) -> dict[str, Any]:
    """The record as stored, decoded.

    Raises:
      ValueError: it cannot be decoded.
    """
    number = self.chosen[index]
    try:
      return self.records[number]
    except Exception as error:  # whatever the decoder raises, the record is bad
      raise ValueError(f'{self.where}[{number}]: cannot be decoded ({error})') from error


def open_part(
  where: str, split: str, needs: Sequence[str | tuple[str, ...]], *, data_dir=None
) -> Part:
  """The split 'train', 'val', 'test' or 'all' of `tfds:NAME[:SPLIT]` or `tfds:FOLDER[:SPLIT]`.

  NAME is looked up in TFDS_DATA_DIR; FOLDER (with a '/') is DIR/NAME or DIR/NAME/VERSION, or the
  URL of one, such as gs://bucket/ebb, which is copied to this machine (see places). Where
  no SPLIT is named and the dataset has splits train, val and test of its own, as all that
  `depthjax prepare` writes, these are meant. Else its SPLIT ('train' if none is named) is divided
  by a hash of the example's number, so that 'val' and 'test' never train.

  Args:
    needs: features that it must have; of a tuple of names the first that is there.

  Raises:
    ValueError: not prepared here, no such split, or a feature is missing.
  """
  match = re.fullmatch(r'tfds:((?:[a-z0-9+.-]+://)?[^:]+(?::\d+\.\d+\.\d+)?)(?::([^:].*))?', where)
  if not match:
    raise ValueError(f'{where}: not a dataset; write tfds:NAME or tfds:NAME:SPLIT')
  try:
    builder = _builder(match[1], data_dir)
    own = match[2] is None and set(_OWN) <= builder.info.splits.keys()
    name = ('+'.join(_OWN) if split == 'all' else split) if own else match[2] or 'train'
    records = builder.as_data_source(split=name)
  except InputError:
    raise
  except Exception as error:  # tfds raises many kinds, some of them its own
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    raise ValueError(
      f'{where}: not prepared on this machine ({reason}); prepare it first'
    ) from error
  has = records.dataset_info.features
  fields = tuple(_field(where, need, has) for need in needs)
  numbers = [str(i) for i in range(len(records))]
  chosen = members(numbers, 'all' if own else split, where)
  return Part(where, records, chosen, fields)


def _builder(name, data_dir):
  if '/' not in name:
    return tfds.builder(name, data_dir=data_dir)
  folder = places.fetch(name)
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


class Photos:
  """Item number -> uint8 [h w 3], reduced to a long side of at most `side` px."""

  def __init__(self, part: Part, side: int):
    self.part, self.side = part, side

  def __call__(self, index: int) -> np.ndarray:
    record = self.part.read(index)
    return reading.reduce(_colours(record, self.part, index), self.side)


class Foregrounds:
  """Item number -> uint8 [h w 4]: straight alpha, colour complete beneath it."""

  def __init__(self, part: Part, side: int):
    self.part, self.side = part, side

  def __call__(self, index: int) -> np.ndarray:
    record = self.part.read(index)
    colours, alpha = _colours(record, self.part, index), np.asarray(record[self.part.fields[1]])
    if alpha.shape != (*colours.shape[:2], 1) or alpha.dtype != np.uint8:
      raise ValueError(
        f'{self.part.names[index]}: {alpha.dtype} {alpha.shape}; uint8 [h w 1] is right'
      )
    return reading.complete(colours, alpha[..., 0], self.part.names[index], self.side)


def _colours(record, part, index):
  image = np.asarray(record['image'])
  if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype != np.uint8:
    raise ValueError(f'{part.names[index]}: {image.dtype} {image.shape}; uint8 [h w 3] is right')
  return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))
