"""Prepared scenes: equal to drawn ones, order of batches, mixtures, refusals and damaged files."""

import collections
import contextlib
import itertools
import json
import shutil

import numpy as np
import pytest
from array_record.python import array_record_module

from depthjax.configuring import ConfigError
from depthjax.data import pipeline, splits
from depthjax.data.records import scene
from depthjax.data.scenes import draw
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import shards
from depthjax.files.errors import InputError
from depthjax.prepare import scenes as writing
from depthjax.train import resume
from tests import tiny
from tests.data.made import assert_same

COUNT = 24
FIELDS = {**tiny.config().data.to_dict(), 'height': 32, 'width': 40}


def prepared(folder, seed=0, count=COUNT):
  """A folder of prepared scenes in three shards."""
  plan = writing.plan(FIELDS, folder, seed=seed, count=count, count_shards=3)
  writing.write(plan, FIELDS, workers=0)
  return folder


@pytest.fixture(name='root', scope='module')
def fixture_root(tmp_path_factory):
  """Two folders of different scenes: `a` with 24 of seed 0, `b` with 7 of seed 1."""
  root = tmp_path_factory.mktemp('scenes')
  prepared(root / 'a')
  prepared(root / 'b', seed=1, count=7)
  return root


@pytest.fixture(name='copy')
def fixture_copy(root, tmp_path):
  """A folder of prepared scenes to damage."""
  return shutil.copytree(root / 'a', tmp_path / 'copy')


def batches(source, batch_size=4, split='train', seed=0, **options):
  fields = {**FIELDS, 'scene_source': str(source)}
  return splits.batches(fields, split, seed=seed, batch_size=batch_size, **options)


def change_manifest(folder, change):
  table = json.loads((folder / shards.MANIFEST).read_text())
  change(table)
  (folder / shards.MANIFEST).write_text(json.dumps(table))


def opened(folder):
  return shards.open_scenes(str(folder), scene.config(FIELDS))


def test_decoded_records_equal_the_encoded_ones():
  config = SceneConfig(height=32, width=48, pad=3, layers=4)
  record, form = draw.draw_scene(np.random.default_rng(0), config), shards.layout(config)
  data = shards.encode(record, form)
  back = shards.decode(data, form)
  assert_same(back, record)
  assert [(name, type(x)) for name, x in back.items()] == [(n, type(x)) for n, x in record.items()]
  for change in ({'focus': np.float64(0)}, {'more': np.zeros(3)}, {'planes': record['planes'][:1]}):
    with pytest.raises(ValueError, match='the record has the arrays .*; expected'):
      shards.encode({**record, **change}, form)
  with pytest.raises(ValueError, match='the record has [0-9]+ bytes; expected'):
    shards.decode(data[:-1], form)


def test_prepared_scenes_are_those_that_training_draws(root):
  drawn, stored = batches('', COUNT)[0], opened(root / 'a')
  assert len(stored) == COUNT
  for i, record in enumerate(stored):
    assert_same({**record, 'index': np.uint32(i)}, {name: x[i] for name, x in drawn.items()})


@pytest.mark.parametrize('where', ['{root}/a', '{root}/a=5,{root}/b=2,drawn=3'])
def test_batches_do_not_depend_on_the_number_of_hosts_or_the_start(root, where):
  where = where.format(root=root)
  ds = batches(where, 8)
  expected = [ds[k] for k in range(9)]
  for hosts in (2, 4):
    for i in range(hosts):
      part = batches(where, 8, shard=(i, hosts))
      for k in (0, 8):
        assert_same(part[k], {name: x[i::hosts] for name, x in expected[k].items()})
  stream = pipeline.stream(ds, start=7)
  for k in (7, 8):
    assert_same(next(stream), expected[k])


def _parts(root, ds, count):
  """The parts ('a', 'b' or 'drawn') and the seeds of the scenes in the first batches."""
  names = {int(x['seed']): part for part in 'ab' for x in opened(root / part)}
  seeds = [int(seed) for k in range(count) for seed in ds[k]['seed']]
  return [names.get(seed, 'drawn') for seed in seeds], seeds


def test_mixtures_have_the_fractions_of_their_weights(root):
  parts, seeds = _parts(root, batches(f'{root}/a=3,{root}/b=1', pipeline.MIX), 1)
  assert abs(parts.count('a') / pipeline.MIX - 0.75) < 0.003
  # So do the examples of one of two processes.
  assert abs(parts[0::2].count('a') / (pipeline.MIX / 2) - 0.75) < 0.07
  # The records of a part come equally often, except in its last epoch.
  for part, size in (('a', COUNT), ('b', 7)):
    times = collections.Counter(s for p, s in zip(parts, seeds, strict=True) if p == part)
    assert max(times.values()) - min(times.values()) <= 1 and len(times) == size


def test_drawn_part_of_a_mixture_does_not_repeat_the_prepared_scenes(root):
  parts, seeds = _parts(root, batches(f'{root}/a=1,drawn=3', 16), 4)
  drawn = {seed for part, seed in zip(parts, seeds, strict=True) if part == 'drawn'}
  assert len(drawn) == parts.count('drawn') and abs(len(drawn) - 48) < 14
  assert not drawn & set(batches('', 64)[0]['seed'].tolist())


def test_scenes_of_evaluation_and_of_the_part_drawn_are_drawn(root):
  for where in ('drawn', 'drawn=2'):
    assert_same(batches(where, 2)[1], batches('', 2)[1])
  for split in ('val', 'test'):
    one, two = (batches(where, 2, split, count=2)[0] for where in (root / 'a', ''))
    assert_same(one, two)


@pytest.mark.parametrize(
  'field, value', [('height', 48), ('width', 32), ('pad', 9), ('layers', 4), ('relief', 0.5)]
)
def test_scenes_of_another_shape_or_with_surfaces_not_rendered_are_refused(copy, field, value):
  change_manifest(copy, lambda table: table['data'].update({field: value}))
  wrong = f'its scenes have {field} {value}, the config has {FIELDS[field]}'
  with pytest.raises(InputError, match=f'^{copy}: {wrong}; expected data.{field}={value} in the'):
    opened(copy)


def test_fields_that_would_draw_other_scenes_are_found(root, copy):
  """Also where a folder is one part of a mixture."""
  change_manifest(copy, lambda table: table['data'].update(photo_source='/photos'))
  fields = {**FIELDS, 'scene_source': f'{copy}=2,drawn=1,{root}/a=1', 'batch': 3}
  assert splits.differences(fields) == {str(copy): {'photo_source': ('/photos', '')}}
  fields |= {'contrast': 0.9, 'covers': (0.1, 0.7), 'scene_source': f'{root}/a'}
  found = {'contrast': (0.25, 0.9), 'covers': ([0.03, 0.7], [0.1, 0.7])}
  assert splits.differences(fields) == {f'{root}/a': found}
  config = tiny.config(data__width=40, data__scene_source=f'{root}/a', data__contrast=0.9)
  with pytest.raises(ConfigError, match='data.contrast was 0.25, is 0.9; use .* or --change'):
    resume.restore(None, config, None, root)
  with pytest.raises(AttributeError):  # Not refused: the checkpoints are read.
    resume.restore(None, config, None, root, resume.Terms(change=True))


def test_incomplete_folders_and_invalid_manifests_are_refused(copy, tmp_path):
  with pytest.raises(InputError, match=f'^{tmp_path}/none/scenes.json: does not exist'):
    opened(tmp_path / 'none')
  with pytest.raises(ValueError, match="no weight for 'x'"):
    splits.example({**FIELDS, 'scene_source': 'drawn=1,x'})
  (copy / 'scenes-00001-of-00003.array_record').unlink()
  with pytest.raises(InputError, match='1 of 3 shards are missing, such as scenes-00001-of-00003'):
    opened(copy)
  text = (copy / shards.MANIFEST).read_text()
  for broken in ('', '{}', text[:200], text.replace('"seed"', '"sead"')):
    (copy / shards.MANIFEST).write_text(broken)
    with pytest.raises(InputError, match='scenes.json: is not a manifest'):
      opened(copy)
  (copy / shards.MANIFEST).write_text(text.replace('"format": 2', '"format": 3'))
  with pytest.raises(InputError, match='has format 3; expected 1 or 2; prepare the scenes again'):
    opened(copy)


def test_scenes_of_format_1_are_read_as_flat_and_opaque(root, copy):
  scenes, form = opened(copy), shards.layout(scene.config(FIELDS), 1)
  lens = ('focus', 'aperture', 'blades', 'rotation', 'highlight')
  assert list(form) == ['layers', 'planes', 'observed', *lens, 'seed']
  records = list(scenes)
  for number, name in enumerate(scenes.manifest.names()):
    writer = array_record_module.ArrayRecordWriter(str(copy / name), shards.WRITER_OPTIONS)
    for index in scenes.manifest.span(number):
      writer.write(shards.encode({field: records[index][field] for field in form}, form))
    writer.close()

  def as_format_1(table):
    table.update(format=1, layout=form)
    for field in ('tilted_foreground', 'relief', 'glass', 'mirror'):
      del table['data'][field]
    table['data']['slanted'] = table['data'].pop('tilted_background')

  change_manifest(copy, as_format_1)
  for old, new in zip(opened(copy), opened(root / 'a'), strict=True):
    assert_same(old, new)
  with pytest.raises(InputError, match='format'):
    writing.plan(FIELDS, copy, seed=0, count=COUNT, count_shards=3)


def test_a_damaged_record_is_replaced_by_the_next_good_one(copy, caplog):
  good = [record['seed'] for record in opened(copy)]
  path = copy / 'scenes-00001-of-00003.array_record'
  data = bytearray(path.read_bytes())
  data[2064:2104] = bytes(b ^ 255 for b in data[2064:2104])  # Inside the first record.
  path.write_bytes(data)
  with pytest.raises(ValueError, match=r'scenes-00001-of-00003.array_record\[0\]: cannot be deco'):
    opened(copy)[8]
  ds = batches(copy, COUNT)
  for k in (0, 1):
    seen = collections.Counter(ds[k]['seed'].tolist())
    assert seen == collections.Counter([*good[:8], good[9], *good[9:]])
  skipped = [r.getMessage() for r in caplog.records if 'skipped' in r.getMessage()]
  assert len(skipped) == 1 and 'scenes-00001-of-00003.array_record[0]' in skipped[0]


@pytest.mark.parametrize('workers', [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_damaged_shard_stops_the_run_with_one_line(copy, workers):
  ds = batches(copy, 8)
  path = copy / 'scenes-00002-of-00003.array_record'
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  with contextlib.closing(pipeline.stream(ds, workers=workers)) as stream:
    # Several threads may fail before the first error is reported.
    with pytest.raises(InputError, match=f'^{copy}: [2-8] of 24 items') as caught:
      list(itertools.islice(stream, 4))
  assert '\n' not in str(caught.value)
