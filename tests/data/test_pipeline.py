"""Batches are a pure function of (source, transforms, seed, k), for any number of processes."""

import contextlib
import threading

import grain
import numpy as np
import pytest

from depthjax.data import pipeline, splits
from depthjax.data.sources import mixtures
from tests import tiny
from tests.data.made import assert_same

FIELDS = {**tiny.config().data.to_dict(), 'photo_source': 'builtin'}


def batches(source, transforms=(), *, seed=0, train=True, **fields):
  ds = pipeline.examples(source, transforms, seed=seed, train=train)
  return pipeline.batched(ds, **fields)


def drawn(*, seed, count=None, **options):
  split = 'train' if count is None else 'val'
  return splits.batches(FIELDS, split, seed=seed, count=count, **options)


class Noise(grain.transforms.RandomMap):
  """A number and a random number."""

  def random_map(self, element, rng):
    return {'number': np.int64(element), 'drawn': rng.random()}


def numbers(count=10, batch_size=4, **fields):
  return batches(range(count), [Noise()], batch_size=batch_size, **fields)


def test_batches_stack_different_examples_that_are_functions_of_seed_and_index():
  ds = drawn(batch_size=2, seed=7)
  late, early = ds[5], ds[0]  # In any order.
  assert_same(drawn(batch_size=2, seed=7)[0], early)
  assert_same({k: v[2:4] for k, v in drawn(batch_size=4, seed=7)[2].items()}, late)
  assert (drawn(batch_size=2, seed=8)[0]['layers'] != early['layers']).any()
  assert early['layers'].shape == (2, 3, 48, 48, 4) and early['focus'].shape == (2,)
  assert len(set(np.concatenate([ds[k]['seed'] for k in range(16)]).tolist())) == 32


@pytest.mark.parametrize('start, threads, workers', [(0, 0, 0), (1, 3, 0), (3, 4, 2)])
def test_stream_starts_at_any_batch_with_any_readers(start, threads, workers):
  ds = drawn(batch_size=2, seed=1)
  stream = pipeline.stream(ds, start=start, threads=threads, workers=workers)
  with contextlib.closing(stream):
    for k in range(start, start + 4):
      assert_same(next(stream), ds[k])


def test_index_counts_examples_over_all_batches_and_processes():
  for count in (None, 12):
    ds = drawn(batch_size=4, seed=1, count=count)
    indices = [batch['index'] for _, batch in zip(range(3), pipeline.stream(ds), strict=False)]
    np.testing.assert_array_equal(np.concatenate(indices), np.arange(12, dtype=np.uint32))
    part = drawn(batch_size=4, seed=1, shard=(1, 2), count=count)
    np.testing.assert_array_equal(next(pipeline.stream(part, start=2))['index'], [9, 11])
  late = drawn(batch_size=4, seed=1)[2**30]
  np.testing.assert_array_equal(late['index'], np.arange(4))
  assert late['index'].dtype == np.uint32


def test_training_reshuffles_and_redraws_every_epoch():
  ds = numbers(count=8, batch_size=8)
  epochs = [ds[k] for k in range(4)]
  assert all(sorted(epoch['number']) == list(range(8)) for epoch in epochs)
  assert len({tuple(epoch['number']) for epoch in epochs}) == 4
  assert len({x for epoch in epochs for x in epoch['drawn']}) == 32
  assert len(ds) > 10**9


def test_evaluation_reads_every_record_once_in_order():
  """Of several parts one after another; of an endless one the first records."""
  ends = {'a': 3, 'b': pipeline.EPOCH, 'c': 2}

  def opened(where, seed):
    return pipeline.examples(range(ends[where]), [Noise()], seed=seed, train=False)

  ds = pipeline.mixture([mixtures.Part(name, 1) for name in ends], 0, opened, train=False)
  numbers = [record['number'] for record in ds]
  assert numbers == [*range(3), *range(pipeline.DRAWN), *range(2)]
  assert len({record['drawn'] for record in ds}) == len(numbers)


@pytest.mark.parametrize('kind', ['scene', 'predictions'])
def test_evaluation_records_do_not_depend_on_seed_and_count(kind):
  fields = {**FIELDS, 'kind': kind, 'predictions': {'levels': 0}}
  found = []
  for split in ('val', 'test'):
    one = splits.batches(fields, split, seed=3, batch_size=2, count=4)
    two = splits.batches(fields, split, seed=8, batch_size=2, count=9)
    assert (len(one), len(two)) == (2, 5)
    assert len(splits.batches(fields, split, seed=0, batch_size=6)) == 11  # Of 64 records.
    assert_same(one[1], two[1])
    found.append(one[1]['layers' if kind == 'scene' else 'low'])
  assert (found[0] != found[1]).any()


def test_invalid_batches_are_refused():
  for fields, message in (
    ({'batch_size': 3, 'shard': (0, 2)}, 'batch_size is 3; it must be a positive multiple of 2'),
    ({'batch_size': 0}, 'batch_size is 0'),
    ({'shard': (2, 2)}, r'shard is \(2, 2\); it must be \(i, n\) with 0 <= i < n'),
  ):
    with pytest.raises(ValueError, match=message):
      numbers(**fields)


def test_batches_are_transferred_before_they_are_requested():
  sent, started = [], threading.Event()

  def send(batch):
    sent.append(int(batch[0]))
    if len(sent) == 3:
      started.set()
    return batch * 10

  ds = batches(range(40), batch_size=2, train=False)
  with contextlib.closing(pipeline.stream(ds, start=1, transfer=send, ahead=2)) as stream:
    np.testing.assert_array_equal(next(stream), [20, 30])
    # Two more are in the buffer, and the thread transfers another.
    assert started.wait(10) and sent[:3] == [2, 4, 6]
    np.testing.assert_array_equal(next(stream), [40, 50])
  assert len(sent) < 10
