"""From a source to batches: batch k is a pure function of (source, transforms, seed, k)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grain
import numpy as np

from depthjax.data.scenes import draw
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.workers import end_with_parent

# Scenes are drawn anew for every index, so the length of an epoch means nothing in training; it
# only has to stay below what grain can shuffle.
EPOCH = 2**30
LONGEST = 2**32 - 1  # Records that grain can shuffle.
MIX = 1024  # Examples of a mixture that are put in a random order together.


def batches(
  source: Sequence,
  transforms: Sequence[grain.transforms.Transformation],
  *,
  batch_size: int,
  seed: int,
  shard: tuple[int, int] = (0, 1),
  train: bool = True,
) -> grain.MapDataset:
  """Random-access batches of one process: `examples` of a source, `batched`."""
  if not train and len(source) < batch_size:
    raise ValueError(f'{len(source)} records do not fill one batch of {batch_size}')
  ds = examples(source, transforms, seed=seed, train=train)
  return batched(ds, batch_size=batch_size, shard=shard, train=train)


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


class DrawScene(grain.transforms.RandomMap):
  """Replaces a record by a drawn scene: the scene of index k depends on (seed, k) alone."""

  def __init__(
    self,
    config: SceneConfig,
    photos: Sequence | None = None,
    foregrounds: Sequence | None = None,
  ):
    self.config, self.photos, self.foregrounds = config, photos, foregrounds

  def random_map(self, element, rng):
    """The scene record of `draw.draw_scene`; the element is not looked at."""
    return draw.draw_scene(rng, self.config, self.photos, self.foregrounds)


class Number(grain.transforms.MapWithIndex):
  """Adds `index`, the example's place in the stream of all processes, modulo 2^32: uint32 []."""

  def map_with_index(self, index, element):
    """The record with its number; consecutive ones make up a batch."""
    return {**element, 'index': np.uint32(index % 2**32)}


def drawn_scenes(
  config: SceneConfig,
  photos: Sequence | None = None,
  foregrounds: Sequence | None = None,
  *,
  batch_size: int,
  seed: int,
  shard: tuple[int, int] = (0, 1),
  count: int | None = None,
) -> grain.MapDataset:
  """Batches of drawn scenes: without end, or the first `count` scenes of a fixed set.

  Args:
    count: None to train; for evaluation the number of scenes, cut to whole batches.
  """
  transforms = [DrawScene(config, photos, foregrounds), Number()]
  source = range(EPOCH if count is None else count)
  options = {'batch_size': batch_size, 'seed': seed, 'shard': shard}
  return batches(source, transforms, **options, train=count is None)
