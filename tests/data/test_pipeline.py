"""Batches: a pure function of (source, transforms, seed, k), whoever reads them and from where."""

import contextlib
import threading

import cv2
import grain
import numpy as np
import pytest
from absl import flags

from depthjax.data import pipeline, splits
from depthjax.data.records import scene
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import photos as photo_sources
from tests import tiny

CONFIG = SceneConfig(height=32, width=32, pad=4)


@pytest.fixture(autouse=True, scope='module')
def fixture_parsed_flags():
  flags.FLAGS.mark_as_parsed()  # grain's worker processes look at absl's flags


def batches(source, transforms, *, seed, train=True, **fields):
  ds = pipeline.examples(source, transforms, seed=seed, train=train)
  return pipeline.batched(ds, train=train, **fields)


def drawn(*, seed, count=None, photos=None, config=CONFIG, **fields):
  draw = scene.DrawScene(config, photos or photo_sources.open_photos('builtin'))
  source = range(pipeline.EPOCH if count is None else count)
  return batches(source, [draw, pipeline.Number()], seed=seed, train=count is None, **fields)


def assert_same(one, two):
  assert one.keys() == two.keys()
  for name, value in one.items():
    np.testing.assert_array_equal(value, two[name])


class Noise(grain.transforms.RandomMap):
  """Adds to a number another one that is drawn."""

  def random_map(self, element, rng):
    return {'number': np.int64(element), 'drawn': rng.random()}


def numbers(count=10, batch_size=4, seed=0, **fields):
  return batches(range(count), [Noise()], batch_size=batch_size, seed=seed, **fields)


def test_batch_stacks_records():
  batch = drawn(batch_size=3, seed=0)[0]
  assert batch['layers'].shape == (3, 3, 40, 40, 4) and batch['layers'].dtype == np.uint8
  assert batch['observed'].shape == (3, 3, 32, 32) and batch['focus'].shape == (3,)
  assert batch['seed'].dtype == np.uint32 and batch['blades'].dtype == np.int32


def test_example_is_a_function_of_seed_and_number():
  ds = drawn(batch_size=2, seed=7)
  late, early = ds[5], ds[0]  # in whatever order
  again = drawn(batch_size=2, seed=7)
  assert_same(early, again[0])
  assert_same(late, again[5])
  # The batch size cuts the same row of examples elsewhere.
  assert_same({k: v[2:4] for k, v in drawn(batch_size=4, seed=7)[2].items()}, late)
  assert (drawn(batch_size=2, seed=8)[0]['layers'] != early['layers']).any()


def test_every_example_differs():
  ds = drawn(batch_size=4, seed=0)
  assert len(set(np.concatenate([ds[k]['seed'] for k in range(8)]).tolist())) == 32


def test_resume_at_any_batch():
  ds = drawn(batch_size=2, seed=1)
  want = [ds[k] for k in range(5)]
  for start in (0, 1, 3):
    for threads in (0, 3):
      stream = pipeline.stream(ds, start=start, threads=threads)
      for batch in want[start:]:
        assert_same(next(stream), batch)


def test_two_workers_read_the_same_batches():
  ds = drawn(batch_size=2, seed=1)
  stream = pipeline.stream(ds, start=3, workers=2)
  try:
    for k in range(3, 7):
      assert_same(next(stream), ds[k])
  finally:
    stream.close()


def test_examples_are_numbered_over_all_batches_and_processes():
  for count in (None, 12):
    ds = drawn(batch_size=4, seed=1, count=count)
    numbers = [batch['index'] for _, batch in zip(range(3), pipeline.stream(ds), strict=False)]
    np.testing.assert_array_equal(np.concatenate(numbers), np.arange(12, dtype=np.uint32))
    part = drawn(batch_size=4, seed=1, shard=(1, 2), count=count)
    np.testing.assert_array_equal(next(pipeline.stream(part, start=2))['index'], [9, 11])
  late = drawn(batch_size=4, seed=1)[2**30]
  np.testing.assert_array_equal(late['index'], np.arange(4))
  assert late['index'].dtype == np.uint32


def test_two_processes_interleave_to_one():
  whole = drawn(batch_size=4, seed=2)
  parts = [drawn(batch_size=4, seed=2, shard=(i, 2)) for i in range(2)]
  for k in (0, 3):
    for i in range(2):
      assert_same(parts[i][k], {name: v[i::2] for name, v in whole[k].items()})


def test_training_reshuffles_and_redraws_every_epoch():
  ds = numbers(count=8, batch_size=8)
  epochs = [ds[k] for k in range(4)]
  for epoch in epochs:
    assert sorted(epoch['number']) == list(range(8))
  assert len({tuple(epoch['number']) for epoch in epochs}) == 4
  assert len({x for epoch in epochs for x in epoch['drawn']}) == 32
  assert len(ds) > 10**9


def test_evaluation_reads_every_record_once_in_order():
  ds = numbers(count=10, batch_size=4, train=False)
  assert len(ds) == 2
  assert [n for batch in pipeline.stream(ds) for n in batch['number']] == list(range(8))
  parts = [numbers(count=11, batch_size=4, train=False, shard=(i, 4)) for i in range(4)]
  assert [len(part) for part in parts] == [2, 2, 2, 2]
  assert len(drawn(batch_size=2, seed=0, count=5)) == 2


@pytest.mark.parametrize('split', ['val', 'test'])
def test_evaluation_scenes_depend_on_neither_seed_nor_count(split):
  fields = {**tiny.config().data.to_dict(), 'height': 32, 'width': 32}
  sets = [
    splits.batches(fields, split, seed=seed, batch_size=2, count=count)
    for seed, count in ((3, 4), (8, 9))
  ]
  assert [len(ds) for ds in sets] == [2, 4]
  assert_same(sets[0][1], sets[1][1])
  with pytest.raises(ValueError, match='3 records do not fill one batch of 4'):
    splits.batches(fields, split, seed=0, batch_size=4, count=3)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'batch_size': 3, 'shard': (0, 2)}, 'batch_size is 3; it must be a positive multiple of 2'),
    ({'batch_size': 0}, 'batch_size is 0'),
    ({'shard': (2, 2)}, r'shard is \(2, 2\); it must be \(i, n\) with 0 <= i < n'),
  ],
)
def test_impossible_batches(fields, message):
  with pytest.raises(ValueError, match=message):
    numbers(**fields)


def test_bad_photo_is_skipped_in_training(tmp_path, caplog):
  for i in range(12):
    picture = np.random.default_rng(i).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / f'{i}.png'), picture)
  (tmp_path / '5.png').write_bytes(b'broken')
  photos = photo_sources.Skipping(photo_sources.open_photos(str(tmp_path), 'all'), str(tmp_path))
  config = SceneConfig(height=32, width=32, pad=0, photos=1.0)
  ds = drawn(config=config, photos=photos, batch_size=8, seed=0)
  for k in range(3):
    assert ds[k]['layers'].shape == (8, 3, 32, 32, 4)
  skipped = [r.getMessage() for r in caplog.records if 'skipped' in r.getMessage()]
  assert len(skipped) == 1 and '5.png: is not an image' in skipped[0]


def test_batches_are_sent_ahead_of_being_asked_for():
  sent, started = [], threading.Event()

  def send(batch):
    sent.append(int(batch[0]))
    if len(sent) == 3:
      started.set()
    return batch * 10

  ds = batches(range(40), [], batch_size=2, seed=0, train=False)
  with contextlib.closing(pipeline.stream(ds, start=1, transfer=send, ahead=2)) as stream:
    np.testing.assert_array_equal(next(stream), [20, 30])
    # Two more lie ready, and one is in the hand of the thread; nobody has asked for any.
    assert started.wait(10) and sent[:3] == [2, 4, 6]
    np.testing.assert_array_equal(next(stream), [40, 50])
  assert len(sent) < 10


def test_an_error_while_sending_reaches_who_asks():
  def refuse(batch):
    raise ValueError('no room')

  ds = batches(range(8), [], batch_size=2, seed=0, train=False)
  stream = pipeline.stream(ds, transfer=refuse)
  with contextlib.closing(stream), pytest.raises(ValueError, match='no room'):
    next(stream)
