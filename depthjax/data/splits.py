"""Batches and examples of the record kinds that a config's `data` names.

A record kind is one module, of data/records or as in `plugins`: `example` and `records`, and
`drawn` and `differences` if it is stored.
"""

import types
from typing import Any

import grain
import numpy as np

from depthjax import plugins
from depthjax.data import pipeline
from depthjax.data.records import predictions, scene

_KINDS = {'predictions': predictions, 'scene': scene}
# Evaluation sets are the same for all runs: their seeds don't depend on the run's seed.
_SEEDS = {'val': 2_000_003, 'test': 3_000_017}


def batches(
  fields: dict[str, Any],
  split: str,
  *,
  seed: int,
  batch_size: int,
  shard: tuple[int, int] = (0, 1),
  count: int | None = None,
) -> grain.MapDataset:
  """Batches of a split 'train', 'val' or 'test'; no photo is in two splits.

  Args:
    fields: a config's `data`, as in configuring.scenes.
    seed: seed of the training records; other splits have fixed seeds.
    batch_size, shard: as in pipeline.batched.
    count: number of records for evaluation, rounded down to full batches; None for training.

  Raises ValueError: a field out of range, or a source that cannot be read.
  """
  if count is not None and count < batch_size:
    raise ValueError(f'{count} records do not fill one batch of {batch_size}')
  ds = _kind(fields).records(fields, split, seed if split == 'train' else _SEEDS[split])
  ds = ds.apply(pipeline.Number())
  train, ds = count is None, ds if count is None else ds[:count]
  return pipeline.batched(ds, batch_size=batch_size, shard=shard, train=train)


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


def _kind(fields: dict[str, Any]) -> types.ModuleType:
  return plugins.find('records', fields['kind'], 'data.kind', _KINDS)
