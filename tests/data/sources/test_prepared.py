"""Prepared datasets read back: their own splits, photos, foregrounds and whole records."""

import json
import pickle
import shutil

import numpy as np
import pytest

from depthjax.data import splits
from depthjax.data.records import evaluation
from depthjax.data.sources import photos as photo_sources
from depthjax.data.sources import prepared
from depthjax.prepare import writing
from tests import tiny
from tests.prepare import made


@pytest.fixture(name='root', scope='module')
def fixture_root(tmp_path_factory):
  """A data folder with one prepared dataset of every kind."""
  root = tmp_path_factory.mktemp('prepared')
  for name in ('ebb', 'blb', 'nyuv2', 'middlebury', 'aim500', 'duts'):
    source = made.MAKERS[name](tmp_path_factory.mktemp(name))
    writing.prepare(name, source, root)
  return root


def test_photos_come_from_the_split_of_that_name(root):
  parts = {s: photo_sources.open_photos(f'tfds:{root}/ebb', s) for s in photo_sources.SPLITS}
  seen = {s: {photo.tobytes() for photo in part} for s, part in parts.items()}
  assert seen['all'] == {made.picture(i).tobytes() for i in range(8)}
  assert seen['train'] | seen['val'] | seen['test'] == seen['all']
  assert sum(len(seen[s]) for s in ('train', 'val', 'test')) == 8
  by_name = {record['name'] for record in evaluation.open_pairs(f'tfds:{root}/ebb', 'val')}
  assert {made.picture(int(name)).tobytes() for name in by_name} == seen['val']


@pytest.mark.parametrize(
  'where', ['tfds:{}/ebb', 'tfds:{}/ebb/1.0.0', 'tfds:ebb', 'tfds:ebb:1.0.0']
)
def test_a_dataset_is_named_by_folder_or_by_name(where, root):
  where = where.format(root)
  part = photo_sources.dataset_photos(where, 'train', data_dir=None if '/' in where else root)
  assert len(part) == len(photo_sources.open_photos(f'tfds:{root}/ebb', 'train'))


def test_a_split_that_is_named_is_divided_once_more(root):
  parts = [
    {photo.tobytes() for photo in photo_sources.open_photos(f'tfds:{root}/ebb:train', split)}
    for split in ('train', 'val', 'test')
  ]
  whole = {photo.tobytes() for photo in photo_sources.open_photos(f'tfds:{root}/ebb', 'train')}
  assert sum(map(len, parts)) == len(whole) and set.union(*parts) == whole


def test_the_newest_version_is_read(root, tmp_path):
  for version in ('1.0.0', '10.0.0', '9.0.0'):
    shutil.copytree(root / 'ebb' / '1.0.0', tmp_path / 'ebb' / version)
    text = (tmp_path / 'ebb' / version / 'dataset_info.json').read_text()
    text = text.replace('"1.0.0"', f'"{version}"')
    (tmp_path / 'ebb' / version / 'dataset_info.json').write_text(text)
  found = evaluation.open_pairs(f'tfds:{tmp_path}/ebb').part.records
  assert str(found.dataset_info.version) == '10.0.0'


@pytest.mark.parametrize('name', ['aim500', 'duts'])
def test_foregrounds_are_cut_out_by_matte_or_mask(name, root):
  items = list(photo_sources.open_foregrounds(f'tfds:{root}/{name}', 'all'))
  stored = evaluation.Records(prepared.open_part(f'tfds:{root}/{name}', 'all', ('image',)))
  assert len(items) == len(stored) == 8
  for item, record in zip(items, stored, strict=True):
    alpha = np.rint(record['matte' if name == 'aim500' else 'mask'][..., 0] * 255)
    np.testing.assert_array_equal(item[..., 3], alpha)
    opaque = item[..., 3] >= 250
    np.testing.assert_array_equal(item[opaque, :3], np.rint(record['image'][opaque] * 255))
  small = photo_sources.open_foregrounds(f'tfds:{root}/{name}', 'all', side=8)[0]
  assert small.shape == (6, 8, 4)


def test_training_scenes_are_drawn_from_prepared_photos_and_mattes(root):
  fields = tiny.config().data.to_dict()
  fields |= {'photos': 1.0, 'mattes': 1.0, 'lights': 0.0}
  plain = {**fields, 'photo_source': '', 'foreground_source': ''}
  given = {**fields, 'photo_source': f'tfds:{root}/ebb', 'foreground_source': f'tfds:{root}/aim500'}
  drawn = [splits.batches(f, 'train', seed=0, batch_size=2)[0] for f in (plain, given, given)]
  assert drawn[0].keys() == drawn[1].keys()
  changed = [name for name in drawn[0] if not np.array_equal(drawn[0][name], drawn[1][name])]
  assert changed
  for name in drawn[1]:
    np.testing.assert_array_equal(drawn[1][name], drawn[2][name])


def test_rgbd_records(root):
  nyu = evaluation.open_rgbd(f'tfds:{root}/nyuv2', 'all')
  assert len(nyu) == 8
  for record in (*nyu, nyu[-1]):
    metres = made.millimetres(int(record['name'])) / 1000
    assert record['unit'] == '1/m'
    assert record['image'].dtype == record['valid'].dtype == record['disparity'].dtype == np.float32
    np.testing.assert_allclose(record['image'] * 255, made.picture(int(record['name'])), atol=1e-4)
    np.testing.assert_array_equal(record['valid'][..., 0], metres > 0)
    known = metres > 0
    np.testing.assert_allclose(record['disparity'][known][:, 0], 1 / metres[known], rtol=1e-6)
  parts = [evaluation.open_rgbd(f'tfds:{root}/nyuv2', split) for split in ('train', 'val', 'test')]
  names = [record['name'] for part in parts for record in part]
  assert sorted(names) == [str(i) for i in range(8)]
  with pytest.raises(IndexError):
    nyu[8]


def test_what_can_be_scored_has_targets_or_depth(root, tmp_path):
  for name in ('ebb', 'blb', 'nyuv2', 'middlebury'):
    found = evaluation.open_scored(f'tfds:{root}/{name}', 'all')
    assert found.fields == found[0].keys()
    assert ('target' in found.fields) == (name in ('ebb', 'blb'))
  with pytest.raises(ValueError, match="no feature 'target' or 'disparity'; it has image, mask"):
    evaluation.open_scored(f'tfds:{root}/duts')
  shutil.copytree(root / 'nyuv2', tmp_path / 'nyuv2')
  file = tmp_path / 'nyuv2/1.0.0/features.json'
  features = json.loads(file.read_text())
  del features['featuresDict']['features']['valid']
  file.write_text(json.dumps(features))
  with pytest.raises(ValueError, match="no feature 'valid'; it has disparity, image"):
    evaluation.open_scored(f'tfds:{tmp_path}/nyuv2')


def test_records_pickle_for_worker_processes(root):
  pairs = evaluation.open_pairs(f'tfds:{root}/blb', 'all')
  copy = pickle.loads(pickle.dumps(pairs))
  assert len(copy) == 12
  for name, value in pairs[5].items():
    np.testing.assert_array_equal(copy[5][name], value)
  assert isinstance(copy[5]['blur'], float) and isinstance(copy[5]['name'], str)


def test_what_is_missing_is_named(root, tmp_path):
  for where, opened, words in (
    (
      f'tfds:{tmp_path}/gone',
      evaluation.open_rgbd,
      'not prepared on this machine .no dataset_info',
    ),
    (
      f'tfds:{root}/ebb',
      evaluation.open_rgbd,
      "no feature 'disparity'; it has image, name, target$",
    ),
    (f'tfds:{root}/ebb', photo_sources.open_foregrounds, "no feature 'matte' or 'mask'"),
    (f'tfds:{root}/duts', evaluation.open_pairs, "no feature 'target'"),
    (f'tfds:{root}/duts:other', evaluation.open_pairs, 'not prepared on this machine .*other'),
  ):
    with pytest.raises(ValueError, match=f'^{where}: {words}') as caught:
      opened(where)
    assert '\n' not in str(caught.value)


def test_a_damaged_shard_is_skipped_in_training_and_named(root, tmp_path):
  shutil.copytree(root / 'ebb', tmp_path / 'ebb')
  (shard,) = (tmp_path / 'ebb' / '1.0.0').glob('*train*')
  data = bytearray(shard.read_bytes())
  at = data.index(b'\x89PNG') + 30
  data[at : at + 200] = bytes(200)
  shard.write_bytes(data)
  photos = photo_sources.open_photos(f'tfds:{tmp_path}/ebb', 'train')
  bad = 0
  for i in range(len(photos)):
    try:
      photos[i]
    except ValueError as error:
      bad += 1
      assert 'cannot be decoded' in str(error)
  assert bad >= 1
