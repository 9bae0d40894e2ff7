"""Prepared scenes read back: the records that drawing gives, and the contracts of batches."""

import collections
import json
import shutil

import numpy as np
import pytest
from array_record.python import array_record_module

from depthjax.data import pipeline, splits
from depthjax.data.records import scene
from depthjax.data.scenes import draw
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import shards
from depthjax.files.errors import InputError
from depthjax.prepare import scenes as writing
from tests import tiny

COUNT = 24
FIELDS = {**tiny.config().data.to_dict(), 'height': 32, 'width': 40}


def prepared(folder, seed=0, count=COUNT, count_shards=3, **fields):
  """A folder of prepared scenes."""
  fields = {**FIELDS, **fields}
  plan = writing.plan(fields, folder, seed=seed, count=count, count_shards=count_shards)
  writing.write(plan, fields, workers=0)
  return folder


@pytest.fixture(name='root', scope='module')
def fixture_root(tmp_path_factory):
  """Two folders of other scenes: `a` of the run's seed 0, `b` of seed 1 and fewer."""
  root = tmp_path_factory.mktemp('scenes')
  prepared(root / 'a')
  prepared(root / 'b', seed=1, count=7)
  return root


@pytest.fixture(name='copy')
def fixture_copy(root, tmp_path):
  """A folder of prepared scenes to damage."""
  return shutil.copytree(root / 'a', tmp_path / 'copy')


def batches(source, seed=0, batch_size=4, **options):
  fields = {**FIELDS, 'scene_source': str(source)}
  return splits.batches(fields, 'train', seed=seed, batch_size=batch_size, **options)


def opened(folder):
  return shards.open_scenes(str(folder), scene.config(FIELDS))


def assert_same(one, two):
  assert one.keys() == two.keys()
  for name, value in one.items():
    np.testing.assert_array_equal(value, two[name])
    assert value.dtype == two[name].dtype


@pytest.mark.parametrize(
  'config', [SceneConfig(height=32, width=48, pad=3, layers=4), SceneConfig()]
)
def test_records_are_lossless(config):
  record = draw.draw_scene(np.random.default_rng(0), config)
  form = shards.layout(config)
  data = shards.encode(record, form)
  assert len(data) == sum(value.nbytes for value in record.values())
  back = shards.decode(data, form)
  assert_same(back, record)
  assert list(back) == list(record) and {n: type(x) for n, x in back.items()} == {
    n: type(x) for n, x in record.items()
  }


def test_records_of_another_form_are_refused():
  config = SceneConfig(height=32, width=32, pad=0)
  record, form = draw.draw_scene(np.random.default_rng(0), config), shards.layout(config)
  for change in ({'focus': np.float64(0)}, {'more': np.zeros(3)}, {'planes': record['planes'][:1]}):
    with pytest.raises(ValueError, match='is right'):
      shards.encode({**record, **change}, form)
  with pytest.raises(ValueError, match='bytes; .* are right'):
    shards.decode(shards.encode(record, form)[:-1], form)


def test_prepared_scenes_are_those_that_training_draws(root):
  drawn = splits.batches(FIELDS, 'train', seed=0, batch_size=COUNT)[0]
  stored = opened(root / 'a')
  assert len(stored) == COUNT
  for i, record in enumerate(stored):
    assert record.keys() | {'index'} == drawn.keys()
    for name, value in record.items():
      np.testing.assert_array_equal(value, drawn[name][i])
  batch = batches(root / 'a')[0]
  assert batch.keys() == drawn.keys()
  assert {n: (x.dtype, x.shape[1:]) for n, x in batch.items()} == {
    n: (x.dtype, x.shape[1:]) for n, x in drawn.items()
  }


def test_every_record_once_an_epoch_in_ever_new_orders_over_all_shards(root):
  seeds = [int(record['seed']) for record in opened(root / 'a')]
  ds = batches(root / 'a', batch_size=COUNT)
  epochs = [tuple(ds[k]['seed'].tolist()) for k in range(4)]
  assert len(set(seeds)) == COUNT and len(set(epochs)) == 4
  for epoch in epochs:
    assert sorted(epoch) == sorted(seeds)
  # Shuffled over all shards: the first eight come from more than one.
  assert len({seeds.index(seed) // 8 for seed in epochs[0][:8]}) == 3
  np.testing.assert_array_equal(ds[1]['index'], np.arange(COUNT, 2 * COUNT))
  assert epochs[0] != tuple(batches(root / 'a', seed=1, batch_size=COUNT)[0]['seed'].tolist())


def _mixture(root):
  return f'{root}/a=5,{root}/b=2,drawn=3'


@pytest.mark.parametrize('mixture', [False, True])
def test_batches_are_the_same_for_any_hosts_and_any_start(root, mixture):
  where = _mixture(root) if mixture else root / 'a'
  whole = batches(where, batch_size=8)
  want = [whole[k] for k in range(9)]
  assert_same(batches(where, batch_size=8)[7], want[7])
  for hosts in (2, 4):
    parts = [batches(where, batch_size=8, shard=(i, hosts)) for i in range(hosts)]
    for k in (0, 8):
      for i, part in enumerate(parts):
        assert_same(part[k], {name: x[i::hosts] for name, x in want[k].items()})
  for start in (0, 7):
    stream = pipeline.stream(whole, start=start)
    for k in range(start, start + 2):
      assert_same(next(stream), want[k])


@pytest.mark.slow
def test_worker_processes_read_the_same_batches(root):
  ds = batches(_mixture(root), batch_size=8)
  stream = pipeline.stream(ds, start=3, workers=2)
  try:
    for k in range(3, 7):
      assert_same(next(stream), ds[k])
  finally:
    stream.close()


def _parts(root, ds, count):
  """Of the first examples of a mixture: 'a', 'b' or 'drawn', and the scenes' own numbers."""
  names = {int(x['seed']): part for part in 'ab' for x in opened(root / part)}
  seeds = [int(seed) for k in range(count) for seed in ds[k]['seed']]
  return [names.get(seed, 'drawn') for seed in seeds], seeds


def test_the_shares_of_a_mixture_are_its_weights(root):
  # Prepared scenes alone: drawing a thousand takes long.
  ds = batches(f'{root}/a=7,{root}/b=3', batch_size=pipeline.MIX)
  parts, seeds = _parts(root, ds, 2)
  for k in range(2):
    share = parts[k * pipeline.MIX : (k + 1) * pipeline.MIX].count('a') / pipeline.MIX
    assert abs(share - 0.7) < 0.003
  # What a process of two, or a task of every second example, sees has the same shares.
  for half in (parts[0::2], parts[1::2]):
    assert abs(half.count('a') / len(half) - 0.7) < 0.07
  # Each part in whole epochs: no record comes more often than another, but for the last epoch.
  for part in 'ab':
    times = collections.Counter(s for p, s in zip(parts, seeds, strict=True) if p == part)
    assert max(times.values()) - min(times.values()) <= 1
    assert len(times) == {'a': COUNT, 'b': 7}[part]


def test_equal_shares_do_not_alternate(root):
  parts, _ = _parts(root, batches(f'{root}/a=1,{root}/b=1', batch_size=64), 4)
  even = parts[0::2].count('a') / 128
  assert 0.3 < even < 0.7


def test_drawing_in_a_mixture_does_not_repeat_what_was_prepared(root):
  parts, seeds = _parts(root, batches(f'{root}/a=1,drawn=3', batch_size=16), 4)
  drawn = [seed for part, seed in zip(parts, seeds, strict=True) if part == 'drawn']
  assert len(set(drawn)) == len(drawn) and abs(len(drawn) - 48) < 14
  own = splits.batches(FIELDS, 'train', seed=0, batch_size=64)[0]['seed'].tolist()
  assert not set(drawn) & set(own)


def test_drawn_alone_is_drawing_and_evaluation_always_is(root):
  plain = splits.batches(FIELDS, 'train', seed=0, batch_size=2)[1]
  for where in ('drawn', 'drawn=2'):
    assert_same(batches(where, batch_size=2)[1], plain)
  for split in ('val', 'test'):
    options = {'seed': 0, 'batch_size': 2, 'count': 2}
    fields = {**FIELDS, 'scene_source': str(root / 'a')}
    assert_same(
      splits.batches(fields, split, **options)[0], splits.batches(FIELDS, split, **options)[0]
    )


@pytest.mark.parametrize('field, value', [('height', 48), ('width', 32), ('pad', 9), ('layers', 4)])
def test_scenes_of_another_form_are_refused_in_one_line(root, field, value):
  fields = {**FIELDS, 'scene_source': str(root / 'a'), field: value}
  match = f'^{root}/a: its scenes have {field} {FIELDS[field]}, the config {value}; expected data.'
  with pytest.raises(InputError, match=match):
    splits.batches(fields, 'train', seed=0, batch_size=2)


def test_what_is_no_whole_folder_of_scenes_is_named(copy, tmp_path):
  with pytest.raises(InputError, match=f'^{tmp_path}/none/scenes.json: does not exist'):
    opened(tmp_path / 'none')
  (copy / 'scenes-00001-of-00003.array_record').unlink()
  with pytest.raises(InputError, match='1 of 3 shards are missing, such as scenes-00001-of-00003'):
    opened(copy)
  manifest = copy / shards.MANIFEST
  text = manifest.read_text()
  for broken in ('', '{}', text[:200], text.replace('"seed"', '"sead"'), text.replace('"u1"', '1')):
    if broken != text:
      manifest.write_text(broken)
      with pytest.raises(InputError, match='scenes.json: is no manifest'):
        opened(copy)
  manifest.write_text(json.dumps({**json.loads(text), 'format': 3}))
  with pytest.raises(InputError, match='has format 3; expected 1 or 2; prepare the scenes again'):
    opened(copy)


def _as_format_1(folder):
  """Rewrites prepared scenes as version 1 wrote them."""
  scenes = opened(folder)
  records = list(scenes)
  form = shards.layout(scene.config(FIELDS), 1)
  for number, name in enumerate(scenes.manifest.names()):
    writer = array_record_module.ArrayRecordWriter(str(folder / name), shards.WRITER_OPTIONS)
    for index in scenes.manifest.span(number):
      writer.write(shards.encode({field: records[index][field] for field in form}, form))
    writer.close()
  table = json.loads((folder / shards.MANIFEST).read_text()) | {'format': 1, 'layout': form}
  data = table['data']
  for field in ('tilted_foreground', 'relief', 'glass', 'mirror'):
    del data[field]
  data['slanted'] = data.pop('tilted_background')
  (folder / shards.MANIFEST).write_text(json.dumps(table))


def test_scenes_of_format_1_are_read_as_flat_and_opaque(root, copy):
  _as_format_1(copy)
  for old, new in zip(opened(copy), opened(root / 'a'), strict=True):
    assert_same(old, new)
  with pytest.raises(InputError, match='was prepared with format 1, not 2; expected the same'):
    writing.plan(FIELDS, copy, seed=0, count=COUNT, count_shards=3)


@pytest.mark.parametrize('field', ['relief', 'tilted_foreground'])
def test_surfaces_that_a_config_does_not_render_are_refused(tmp_path, field):
  folder = prepared(tmp_path / 'scenes', count=1, count_shards=1, **{field: 0.5})
  with pytest.raises(InputError, match=f'its scenes have {field} 0.5, the config 0.0; expected'):
    opened(folder)


def test_wrong_sources_are_refused_before_anything_is_compiled():
  with pytest.raises(ValueError, match="no weight for 'x'"):
    splits.example({**FIELDS, 'scene_source': 'drawn=1,x'})


def _damage(path, times=1):
  """Breaks the first records of a shard."""
  data = bytearray(path.read_bytes())
  stored = path.stat().st_size
  at = [64 + 2000, *range(20_000, stored, 9000)][:times]
  for start in at:
    data[start : start + 40] = bytes(b ^ 255 for b in data[start : start + 40])
  path.write_bytes(data)


def test_a_damaged_record_is_replaced_by_the_next_good_one(copy, caplog):
  good = [record['seed'] for record in opened(copy)]
  _damage(copy / 'scenes-00001-of-00003.array_record')
  with pytest.raises(ValueError, match=r'scenes-00001-of-00003.array_record\[0\]: cannot be deco'):
    opened(copy)[8]
  ds = batches(copy, batch_size=COUNT)
  for k in (0, 1):
    seen = collections.Counter(ds[k]['seed'].tolist())
    assert seen == collections.Counter([*good[:8], good[9], *good[9:]])
  skipped = [r.getMessage() for r in caplog.records if 'skipped' in r.getMessage()]
  assert len(skipped) == 1 and 'scenes-00001-of-00003.array_record[0]' in skipped[0]


def _truncate(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize('ruin', [_truncate, lambda path: path.unlink()])
def test_a_damaged_shard_ends_the_run_in_one_line(copy, ruin):
  ds = batches(copy, batch_size=COUNT)
  ruin(copy / 'scenes-00002-of-00003.array_record')
  with pytest.raises(InputError, match=f'^{copy}: 2 of 24 items cannot be read') as caught:
    ds[0]
  assert '\n' not in str(caught.value)


@pytest.mark.slow
def test_too_much_damage_ends_the_run_from_worker_processes_too(copy):
  ds = batches(copy, batch_size=8)
  _truncate(copy / 'scenes-00002-of-00003.array_record')
  stream = pipeline.stream(ds, workers=1)
  try:
    # A worker reads by several threads, of which others may fail before the first has said so.
    with pytest.raises(InputError, match=f'^{copy}: [2-8] of 24 items cannot be read'):
      for _ in range(4):
        next(stream)
  finally:
    stream.close()
