"""From a source to batches: batch k is a pure function of (source, transforms, seed, k)."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import grain
import numpy as np

from depthjax.data.sources.mixtures import Part
from depthjax.data.workers import end_with_parent

# Threads and processes of grain draw one scene each. OpenCV's own threads would compete with them
# for the CPUs, and deadlock in forked processes.
cv2.setNumThreads(0)
# The commands silence the root logger because of Orbax; skipped records are still reported.
logging.getLogger('depthjax.data').setLevel(logging.WARNING)

# Scenes are drawn anew for every index, so the length of an epoch means nothing in training; it
# only has to stay below what grain can shuffle.
EPOCH = 2**30
LONGEST = 2**32 - 1  # Records that grain can shuffle.
MIX = 1024  # Examples of a mixture that are put in a random order together.


def examples(
  source: Sequence,
  transforms: Sequence[grain.transforms.Transformation] = (),
  *,
  seed: int,
  train: bool = True,
) -> grain.MapDataset:
  """Random-access examples, of all processes.

  In training the source is shuffled, all of it, and repeats for ever in ever new orders and with
  ever new random numbers; else every record comes once, in order.

  Args:
    transforms: applied to one record of the source at a time, in order.

  Raises:
    ValueError: more records than grain can shuffle.
  """
  if len(source) > LONGEST:
    raise ValueError(f'{len(source)} records; at most {LONGEST} can be shuffled')
  ds = grain.MapDataset.source(source).seed(seed)
  if train:
    ds = ds.shuffle().repeat()
  for transform in transforms:
    ds = ds.apply(transform)
  return ds


def mixed(
  parts: Sequence[grain.MapDataset], weights: Sequence[float], *, seed: int
) -> grain.MapDataset:
  """Examples of several endless datasets, by weight, in a random order.

  Every part goes through its records as it would alone. Of each MIX examples the parts' shares
  are the weights, to a hundredth of the smallest of them.

  Args:
    seed: of the order within each MIX examples.
  """
  # grain interleaves in a fixed rhythm. Processes and tasks that look at every second example
  # would see one part alone.
  ds = grain.MapDataset.mix(parts, weights)
  # Half the range of seeds: grain adds the number of the window to it.
  half = np.random.SeedSequence(seed).generate_state(1)[0] >> 1
  return grain.experimental.WindowShuffleMapDataset(ds, window_size=MIX, seed=int(half))


def mixture(
  parts: Sequence[Part], seed: int, opened: Callable[[str, int], grain.MapDataset]
) -> grain.MapDataset:
  """Endless examples of all parts by their weights; `opened` gives those of a path at a seed."""
  if len(parts) == 1:
    return opened(parts[0].where, seed)
  # Drawing for a mixture has a seed of its own: with the run's it would draw once more what was
  # prepared at that seed.
  seeds = np.random.SeedSequence(seed).generate_state(len(parts)).tolist()
  ready = [opened(part.where, own) for part, own in zip(parts, seeds, strict=True)]
  return mixed(ready, [part.weight for part in parts], seed=seed)


def batched(
  ds: grain.MapDataset,
  *,
  batch_size: int,
  shard: tuple[int, int] = (0, 1),
  train: bool = True,
) -> grain.MapDataset:
  """Random-access batches of one process.

  The process's slice comes last: every transform sees the global index, so the random numbers do
  not depend on the number of processes.

  Args:
    batch_size: examples a batch over all processes.
    shard: (number of this process, number of processes).

  Raises:
    ValueError: the batch does not divide, or the shard is impossible.
  """
  index, count = shard
  if count < 1 or not 0 <= index < count:
    raise ValueError(f'shard is {shard}; it must be (i, n) with 0 <= i < n')
  if batch_size < 1 or batch_size % count:
    raise ValueError(
      f'batch_size is {batch_size}; it must be a positive multiple of {count} processes'
    )
  # Shards of unequal length would leave one process waiting for a batch that never comes.
  whole = ds if train else ds[: len(ds) // batch_size * batch_size]
  return whole[index::count].batch(batch_size // count, drop_remainder=True)


def stream(
  ds: grain.MapDataset,
  *,
  start: int = 0,
  workers: int = 0,
  threads: int = 4,
  transfer: Callable[[Any], Any] | None = None,
  ahead: int = 2,
) -> Iterator[Any]:
  """Batches start, start + 1, ..., read ahead by threads, or by worker processes.

  Worker processes are spawned: the caller's main module must be importable, and `close()` of the
  iterator ends them.

  Args:
    transfer: what sends a batch to its devices; a thread of this process does so with up to
      `ahead` batches that nobody has asked for yet.
  """
  reading = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(1, threads))
  out = ds[start:].to_iter_dataset(reading)
  if workers:
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
    out = out.mp_prefetch(options, worker_init_fn=_start_worker)
  if transfer:
    out = grain.experimental.ThreadPrefetchIterDataset(
      out.map(transfer), prefetch_buffer_size=ahead
    )
  return iter(out)


def _start_worker(index: int, count: int) -> None:
  del index, count
  end_with_parent()


class Number(grain.transforms.MapWithIndex):
  """Adds `index`, the example's place in the stream of all processes, modulo 2^32: uint32 []."""

  def map_with_index(self, index, element):
    """The record with its number; consecutive ones make up a batch."""
    return {**element, 'index': np.uint32(index % 2**32)}
