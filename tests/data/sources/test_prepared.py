"""Prepared datasets read back: splits, photos, foregrounds and evaluation records."""

import json
import shutil

import numpy as np
import pytest
from tensorflow_datasets.core.utils import file_utils

from depthjax.data.records import evaluation
from depthjax.data.sources import fingerprint
from depthjax.data.sources import photos as photo_sources
from depthjax.prepare import writing
from tests.prepare import made

SPLITS = ('train', 'val', 'test')


@pytest.fixture(name='root', scope='module')
def fixture_root(tmp_path_factory):
  """A folder with prepared datasets of every kind, also found by name."""
  root = tmp_path_factory.mktemp('prepared')
  for name in ('ebb', 'blb', 'nyuv2', 'middlebury', 'aim500', 'duts'):
    source = made.MAKERS[name](tmp_path_factory.mktemp(name))
    writing.prepare(name, source, root)
  file_utils.add_data_dir(root)
  yield root
  file_utils.clear_registered_data_dirs()


def images(where, split):
  return [image.tobytes() for image in photo_sources.open_photos(where, split)]


def test_photos_come_from_the_split_of_that_name(root):
  where = f'tfds:{root}/ebb'
  assert sorted(images(where, 'all')) == sorted(made.picture(i).tobytes() for i in range(8))
  assert sorted(sum((images(where, s) for s in SPLITS), [])) == sorted(images(where, 'all'))
  stored = evaluation.open_records(where, 'val')
  assert [made.picture(int(x['name'])).tobytes() for x in stored] == images(where, 'val')
  parts = [images(f'{where}:train', split) for split in SPLITS]  # A named split is divided.
  assert all(parts) and sorted(sum(parts, [])) == sorted(images(where, 'train'))


@pytest.mark.parametrize('where', ['tfds:{}/ebb/1.0.0', 'tfds:ebb', 'tfds:ebb:1.0.0'])
def test_dataset_is_found_by_folder_version_or_name(where, root):
  assert images(where.format(root), 'train') == images(f'tfds:{root}/ebb', 'train')
  where, name = where.format(root), root / 'ebb' / '1.0.0'
  assert fingerprint.fingerprints({'photo_source': where}) == {where: fingerprint._hash(name)}


def test_newest_version_is_read(root, tmp_path):
  for version in ('1.0.0', '10.0.0', '9.0.0'):
    shutil.copytree(root / 'ebb' / '1.0.0', tmp_path / 'ebb' / version)
    file = tmp_path / 'ebb' / version / 'dataset_info.json'
    file.write_text(file.read_text().replace('"1.0.0"', f'"{version}"'))
  found = evaluation.open_records(f'tfds:{tmp_path}/ebb').part.records
  assert str(found.dataset_info.version) == '10.0.0'


@pytest.mark.parametrize('name, alpha', [('aim500', 'matte'), ('duts', 'mask')])
def test_foregrounds_have_the_matte_or_mask_as_alpha(name, alpha, root):
  items = photo_sources.open_foregrounds(f'tfds:{root}/{name}', 'all')
  assert len(items) == 8
  for i, item in enumerate(items):
    record = items.load.part.read(i)
    np.testing.assert_array_equal(item[..., 3:], record[alpha])
    opaque = item[..., 3] >= 250
    np.testing.assert_array_equal(item[opaque, :3], record['image'][opaque])


def test_rgbd_records_have_disparity_of_the_depth(root):
  nyu = evaluation.open_records(f'tfds:{root}/nyuv2', 'all')
  assert len(nyu) == 8
  for record in (*nyu, nyu[-1]):
    metres = made.millimetres(int(record['name'])) / 1000
    known = metres > 0
    assert record['unit'] == '1/m' and record['image'].dtype == np.float32
    np.testing.assert_allclose(record['image'] * 255, made.picture(int(record['name'])), atol=1e-4)
    np.testing.assert_array_equal(record['valid'][..., 0], known)
    np.testing.assert_allclose(record['disparity'][known][:, 0], 1 / metres[known], rtol=1e-6)
  with pytest.raises(IndexError):
    nyu[8]


def test_records_to_score_have_a_target_or_disparity(root):
  for name in ('ebb', 'blb', 'nyuv2', 'middlebury'):
    found = evaluation.open_records(f'tfds:{root}/{name}', 'all')
    assert found.fields == found[0].keys()
    assert ('target' in found.fields) == (name in ('ebb', 'blb'))
  record = evaluation.open_records(f'tfds:{root}/blb', 'all')[5]
  assert isinstance(record['blur'], float) and isinstance(record['name'], str)


def test_missing_datasets_splits_and_features_are_named(root, tmp_path):
  shutil.copytree(root / 'nyuv2', tmp_path / 'nyuv2')
  file = tmp_path / 'nyuv2/1.0.0/features.json'
  features = json.loads(file.read_text())
  del features['featuresDict']['features']['valid']
  file.write_text(json.dumps(features))
  photos, foregrounds = photo_sources.open_photos, photo_sources.open_foregrounds
  records = evaluation.open_records
  for where, opened, words in (
    ('tfds:', photos, 'not a dataset; write tfds:NAME'),
    ('tfds:unknown', photos, 'not prepared on this machine'),
    (f'tfds:{tmp_path}/gone', photos, 'not prepared on this machine .no dataset_info'),
    (f'tfds:{root}/duts:other', photos, 'not prepared on this machine .*other'),
    (f'tfds:{root}/ebb', foregrounds, "no feature 'matte' or 'mask'; it has image, name, target"),
    (f'tfds:{root}/duts', records, "no feature 'target' or 'disparity'; it has image, mask"),
    (f'tfds:{tmp_path}/nyuv2', records, "no feature 'valid'; it has disparity, image"),
  ):
    with pytest.raises(ValueError, match=f'^{where}: {words}') as caught:
      opened(where)
    assert '\n' not in str(caught.value)


def test_damaged_record_is_an_error(root, tmp_path):
  shutil.copytree(root / 'ebb', tmp_path / 'ebb')
  (shard,) = (tmp_path / 'ebb' / '1.0.0').glob('*train*')
  data = bytearray(shard.read_bytes())
  at = data.index(b'\x89PNG') + 30
  data[at : at + 200] = bytes(200)
  shard.write_bytes(data)
  with pytest.raises(ValueError, match=r'/ebb\[\d+\]: cannot be decoded'):
    list(photo_sources.open_photos(f'tfds:{tmp_path}/ebb', 'train'))
