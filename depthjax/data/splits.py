"""Batches and examples of the record kinds that a config's `data` names.

A record kind is one module, of data/records or as in `plugins`: `example` and `records`; `drawn`
and `differences` if it is stored; `check_start` if it has outputs of a network.
"""

import types
from typing import Any

import grain
import numpy as np

from depthjax import plugins
from depthjax.data import pipeline
from depthjax.data.records import labelled, masked, predictions, scene

_KINDS = {'labelled': labelled, 'masked': masked, 'predictions': predictions, 'scene': scene}
# Evaluation sets are the same for all runs: their seeds don't depend on the run's seed.
_SEEDS = {'val': 2_000_003, 'test': 3_000_017}


def batches(
  fields: dict[str, Any],
  split: str,
  *,
  seed: int,
  batch_size: int,
  shard: tuple[int, int] = (0, 1),
  count: int = 0,
  multiple: int = 1,
) -> grain.MapDataset:
  """Batches of a split 'train', 'val' or 'test'; no photo is in two splits.

  Of 'val' and 'test' each record comes once, in order, as a function of its number alone. The last
  batch is padded, see pipeline.Once.

  Args:
    fields: a config's `data`, as in configuring.scenes.
    seed: seed of the training records; other splits have fixed seeds.
    batch_size, shard: as in pipeline.batched.
    count: number of records of 'val' or 'test', at most all; 0 is all, or pipeline.DRAWN of an
      endless source.
    multiple: batches of 'val' and 'test' are rounded up to a multiple of it; those that are larger
      than the split are reduced.

  Raises ValueError: a field out of range, or a source that cannot be read.
  """
  if split == 'train':
    ds = _kind(fields).records(fields, split, seed).map_with_index(pipeline.numbered)
    return pipeline.batched(ds, batch_size=batch_size, shard=shard)
  ds = _kind(fields).records(fields, split, _SEEDS[split])
  count = min(count or (pipeline.DRAWN if len(ds) >= pipeline.EPOCH else len(ds)), len(ds))
  batch_size = rounded(min(batch_size, count), multiple)
  filler = _kind(fields).example(fields)
  padded = pipeline.Once(ds, count=count, length=rounded(count, batch_size), filler=filler)
  ds = grain.MapDataset.source(padded)
  return pipeline.batched(ds, batch_size=batch_size, shard=shard)


def rounded(count: int, multiple: int) -> int:
  """The smallest multiple that is at least `count`."""
  return -(-count // multiple) * multiple


def example(fields: dict[str, Any]) -> dict[str, np.ndarray]:
  """One record, with the shapes and dtypes of all records.

  Raises ValueError: a field out of range.
  """
  return {**_kind(fields).example(fields), 'index': np.uint32(0)}


def drawn(fields: dict[str, Any], seed: int) -> tuple[grain.MapDataset, dict[str, int]]:
  """The records that `depthjax prepare scenes` stores, and the number of items of each source.

  Raises ValueError: a kind that cannot be stored, a field out of range, or a source that cannot be
  read.
  """
  kind = _kind(fields)
  if not hasattr(kind, 'drawn'):
    raise ValueError(f'data.kind is {fields["kind"]!r}; only scenes can be prepared')
  return kind.drawn(fields, seed)


def differences(fields: dict[str, Any]) -> dict[str, dict[str, tuple[Any, Any]]]:
  """For each prepared source, its value and that of `fields` where drawing would differ.

  Raises InputError: a source without a valid manifest.
  """
  kind = _kind(fields)
  return kind.differences(fields) if hasattr(kind, 'differences') else {}


def check_start(fields: dict[str, Any], path: str) -> None:
  """Checks that training with these records can start from weights at `path`; '' is random.

  Raises InputError: the records have outputs of another network than that of the weights.
  """
  kind = _kind(fields)
  if hasattr(kind, 'check_start'):
    kind.check_start(fields, path)


def _kind(fields: dict[str, Any]) -> types.ModuleType:
  return plugins.find('records', fields['kind'], 'data.kind', _KINDS)
