"""From a source to batches: batch k is a pure function of (source, transforms, seed, k)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import grain
import numpy as np
from absl import flags

from depthjax.data.sources.mixtures import Part
from depthjax.data.workers import end_with_parent

# Threads and processes of grain draw one scene each. OpenCV's own threads would compete with them
# for the CPUs, and deadlock in forked processes.
cv2.setNumThreads(0)

# Every index draws a new scene, so the length of an epoch is arbitrary; grain shuffles up to 2^32.
EPOCH = 2**30
DRAWN = 64  # Number of records of an endless source in evaluation, unless a config asks for others.
MIX = 1024  # Examples of a mixture that are shuffled together.
# `index` of examples that don't count in evaluation: of unreadable records, and of padding.
UNREADABLE, PADDING = np.uint32(2**32 - 2), np.uint32(2**32 - 1)


def examples(
  source: Sequence,
  transforms: Sequence[grain.transforms.Transformation] = (),
  *,
  seed: int,
  train: bool = True,
) -> grain.MapDataset:
  """Random-access examples of all processes.

  For training the source repeats endlessly, with a new order and new random numbers in each epoch;
  otherwise every record comes once, in order. Transforms apply to one record at a time, in order.
  """
  ds = grain.MapDataset.source(source).seed(seed)
  if train:
    ds = ds.shuffle().repeat()
  for transform in transforms:
    ds = ds.apply(transform)
  return ds


def mixture(
  parts: Sequence[Part],
  seed: int,
  opened: Callable[[str, int], grain.MapDataset],
  *,
  train: bool = True,
) -> grain.MapDataset:
  """Endless, shuffled examples of all parts in proportion to their weights.

  Each part is read in its usual order, and every MIX consecutive examples are shuffled. Their
  proportions are those of the weights, within 1 % of the smallest weight.

  For evaluation the parts follow one another and the weights are ignored. Of several parts, an
  endless one has DRAWN examples.

  Args:
    seed: seed of the parts, and of the shuffle within each MIX examples.
    opened: (where, seed) -> examples of one part, for training endless.
  """
  if len(parts) == 1:
    return opened(parts[0].where, seed)
  # With the run's seed, a drawn part would repeat scenes that were prepared with that seed.
  sequence = np.random.SeedSequence(seed)
  seeds = sequence.generate_state(len(parts)).tolist()
  datasets = [opened(part.where, part_seed) for part, part_seed in zip(parts, seeds, strict=True)]
  if not train:
    return grain.MapDataset.concatenate([ds[:DRAWN] if len(ds) >= EPOCH else ds for ds in datasets])
  # grain.MapDataset.mix has a fixed period: a process that reads every second example could get
  # only one of the parts.
  ds = grain.MapDataset.mix(datasets, [part.weight for part in parts])
  # Half the range of seeds: grain adds the number of the window.
  half = int(sequence.generate_state(1)[0]) >> 1
  return grain.experimental.WindowShuffleMapDataset(ds, window_size=MIX, seed=half)


def batched(
  ds: grain.MapDataset, *, batch_size: int, shard: tuple[int, int] = (0, 1)
) -> grain.MapDataset:
  """Random-access batches of one process.

  Slicing by process comes last: every transform gets the global index, so that random numbers don't
  depend on the number of processes.

  Args:
    batch_size: examples per batch over all processes.
    shard: (number of this process, number of processes).

  Raises ValueError: the batch does not divide by the number of processes, or the shard is invalid.
  """
  index, count = shard
  if count < 1 or not 0 <= index < count:
    raise ValueError(f'shard is {shard}; it must be (i, n) with 0 <= i < n')
  if batch_size < 1 or batch_size % count:
    right = f'it must be a positive multiple of {count} processes'
    raise ValueError(f'batch_size is {batch_size}; {right}')
  return ds[index::count].batch(batch_size // count, drop_remainder=True)


def stream(
  ds: grain.MapDataset,
  *,
  start: int = 0,
  workers: int = 0,
  threads: int = 4,
  transfer: Callable[[Any], Any] | None = None,
  ahead: int = 2,
) -> Iterator[Any]:
  """Batches start, start + 1, ..., prefetched by threads or by worker processes.

  Workers are spawned, so the caller's main module must be importable; `close()` of the iterator
  ends them.

  Args:
    transfer: copies a batch to its devices; called by a thread of this process, up to `ahead`
      batches before they are requested.
  """
  reading = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(1, threads))
  out = ds[start:].to_iter_dataset(reading)
  if workers:
    if not flags.FLAGS.is_parsed():  # By absl.app.run; grain refuses to start workers without it.
      flags.FLAGS.mark_as_parsed()
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
    out = out.mp_prefetch(options, worker_init_fn=end_with_parent)
  if transfer:
    out = out.map(transfer)
    out = grain.experimental.ThreadPrefetchIterDataset(out, prefetch_buffer_size=ahead)
  return iter(out)


class Once(Sequence):
  """The first `count` records, each once, and padding up to `length` examples.

  Adds `index`: the number of the record, UNREADABLE for a record that is None, or PADDING. The
  values of the latter two are those of the record `filler`.
  """

  def __init__(self, ds: grain.MapDataset, *, count: int, length: int, filler: dict[str, Any]):
    self.ds, self.end, self.length, self.filler = ds, count, length, filler

  def __len__(self) -> int:
    return self.length

  def __getitem__(self, index: int) -> dict[str, Any]:
    if index >= self.end:
      return {**self.filler, 'index': PADDING}
    record = self.ds[index]
    if record is None:
      return {**self.filler, 'index': UNREADABLE}
    return {**record, 'index': np.uint32(index)}


def numbered(index: int, record: dict[str, Any]) -> dict[str, Any]:
  """Adds `index`, the example's number in the stream of all processes, modulo 2^32: uint32 []."""
  return {**record, 'index': np.uint32(index % 2**32)}
