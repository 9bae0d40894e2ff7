"""Sources of photos and foregrounds: good input, bad folders, caching, hold-out."""

import logging
import pathlib
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from depthjax.data.sources import holdout
from depthjax.data.sources import photos as photo_sources
from depthjax.files.errors import InputError
from tests.data.made import flat, write


def test_built_in_photos_exist_and_splits_are_disjoint():
  names = {s: photo_sources.open_photos('builtin', s).names for s in photo_sources.SPLITS}
  parts = [set(names[s]) for s in ('train', 'val', 'test')]
  assert sum(map(len, parts)) == len(set.union(*parts)) == len(names['all'])
  assert not any('motorcycle' in name for name in names['all'])
  photos = photo_sources.open_photos('builtin', 'all')
  for photo in photos:
    assert photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3
    assert min(photo.shape[:2]) >= 150 and photo.std() > 5


def test_folder_is_split_by_name_and_reads_subfolders(tmp_path):
  for i in range(120):
    write(tmp_path / f'{"ab"[i % 2]}' / f'{i}.png', flat(i))
  names = {s: set(photo_sources.open_photos(str(tmp_path), s).names) for s in photo_sources.SPLITS}
  assert names['train'] | names['val'] | names['test'] == names['all']
  assert sum(len(names[s]) for s in ('train', 'val', 'test')) == len(names['all']) == 120
  assert len(names['train']) > 95 and names['val'] and names['test']
  # Another photo in the folder moves none of the others.
  write(tmp_path / 'a' / 'new.png', flat(0))
  again = set(photo_sources.open_photos(str(tmp_path), 'val').names)
  assert again - {str(tmp_path / 'a' / 'new.png')} == names['val']


FROZEN = {25: 'val', 40: 'val', 41: 'val', 60: 'test', 63: 'val'}


def test_split_of_a_name_is_fixed():
  # Frozen: a change would move photos from the test into the training set of earlier runs.
  held = {n: holdout.split_of(f'{n}.png') for n in range(90)}
  assert {n: split for n, split in held.items() if split != 'train'} == FROZEN


@pytest.fixture(name='matted')
def fixture_matted(tmp_path):
  alpha = flat(0, c=0)
  alpha[3:9, 4:12] = 255
  alpha[2, 4:12] = 128
  colour = flat((20, 30, 40))
  colour[3:9, 4:12] = (200, 100, 50)
  write(tmp_path / 'photos' / 'cat.png', colour)
  write(tmp_path / 'mattes' / 'cat.png', alpha)
  return tmp_path


def test_foreground_has_its_own_colour_beneath_the_soft_edge(matted):
  (item,) = photo_sources.open_foregrounds(str(matted), 'all')
  assert item.shape == (12, 16, 4) and item.dtype == np.uint8
  assert item[2, 6, 3] == 128
  assert np.abs(item[..., :3].astype(int) - (200, 100, 50)).max() <= 1


def test_cutouts_read_the_same(matted, tmp_path):
  photo, matte = (np.asarray(Image.open(matted / f / 'cat.png')) for f in ('photos', 'mattes'))
  folder = tmp_path / 'cutouts'
  write(folder / 'cat.png', np.dstack([photo, matte]))
  np.testing.assert_array_equal(
    photo_sources.open_foregrounds(str(folder), 'all')[0],
    photo_sources.open_foregrounds(str(matted), 'all')[0],
  )


def test_bad_foregrounds(matted):
  write(matted / 'mattes' / 'cat.png', flat(255, 12, 15, 0))
  message = 'cat.png: the matte is 15x12 but its photo cat.png is 16x12; both must have one size'
  with pytest.raises(ValueError, match=message):
    photo_sources.open_foregrounds(str(matted), 'all')[0]
  write(matted / 'mattes' / 'cat.png', flat(100, c=0))
  with pytest.raises(ValueError, match='no pixel of the matte is opaque; white'):
    photo_sources.open_foregrounds(str(matted), 'all')[0]
  (matted / 'mattes' / 'cat.png').unlink()
  with pytest.raises(ValueError, match='cat.png: the photo has no matte; put one at .*cat.png'):
    photo_sources.open_foregrounds(str(matted), 'all')


def test_cutout_without_alpha(tmp_path):
  write(tmp_path / 'a.png', flat(3))
  with pytest.raises(ValueError, match='a.png: has no alpha channel; expected an RGBA PNG'):
    photo_sources.open_foregrounds(str(tmp_path), 'all')[0]


@pytest.mark.parametrize('opener', [photo_sources.open_photos, photo_sources.open_foregrounds])
def test_bad_folders(tmp_path, opener):
  with pytest.raises(ValueError, match='nowhere: no such folder'):
    opener(str(tmp_path / 'nowhere'))
  with pytest.raises(ValueError, match='no image in it; give a folder with .jpg'):
    opener(str(tmp_path))
  write(tmp_path / 'a.png', flat(1))
  with pytest.raises(ValueError, match='1 image.s. cannot be split; at least 3 are needed'):
    opener(str(tmp_path), 'val')
  with pytest.raises(ValueError, match="split is 'dev'; it must be one of train, val, test, all"):
    opener(str(tmp_path), 'dev')


class Loads:
  """A picklable loader that counts."""

  count = 0

  def __call__(self, index):
    Loads.count += 1
    return np.full((10, 10, 3), index, np.uint8)


def test_cache_is_bounded_and_drops_the_longest_unused():
  source = photo_sources.Source('abcd', Loads(), cache_bytes=3 * 300)
  Loads.count = 0
  for index in (0, 1, 2, 1, 2, 0):
    assert source[index][0, 0, 0] == index
  assert Loads.count == 3
  _ = source[3], source[2], source[0]
  assert Loads.count == 4  # 3 pushed out 1
  _ = source[1]
  assert Loads.count == 5
  assert source[-1][0, 0, 0] == 3
  with pytest.raises(IndexError):
    source[4]
  with pytest.raises(ValueError, match='read-only'):
    source[0][0] = 1


def test_sources_pickle_without_their_images():
  photos = photo_sources.open_photos('builtin')
  _ = [photo.sum() for photo in photos]
  data = pickle.dumps(photos)
  assert len(data) < 5000
  np.testing.assert_array_equal(pickle.loads(data)[2], photos[2])


class Broken:
  """Item i is an image of i, some are broken."""

  def __init__(self, count, bad):
    self.count, self.bad, self.asked = count, bad, []

  def __len__(self):
    return self.count

  def __getitem__(self, index):
    self.asked.append(index)
    if index in self.bad:
      raise ValueError(f'{index}.jpg: the file is damaged')
    return index


def test_bad_records_are_skipped_logged_once_and_counted(caplog):
  broken = Broken(100, {3, 4, 99})
  source = photo_sources.Skipping(broken, 'photos')
  with caplog.at_level(logging.WARNING):
    assert [source[i] for i in (2, 3, 4, 99, 3, 4)] == [2, 5, 5, 0, 5, 5]
  assert len(source) == 100 and len(source.bad) == 3
  assert [r.getMessage() for r in caplog.records] == [
    'skipped (1 so far): 3.jpg: the file is damaged',
    'skipped (2 so far): 4.jpg: the file is damaged',
    'skipped (3 so far): 99.jpg: the file is damaged',
  ]
  assert broken.asked.count(3) == 1  # it is not tried again


def test_too_many_bad_records_stop():
  source = photo_sources.Skipping(Broken(20, set(range(10))), 'photos', share=0.1)
  with pytest.raises(InputError, match='^photos: 3 of 20 items cannot be read, .*2.jpg.* 0.1'):
    source[0]
  with pytest.raises(InputError, match=r'^photos: none of 1 items can be read \(0.jpg'):
    photo_sources.Skipping(Broken(1, {0}), 'photos')[0]
  with pytest.raises(ValueError, match='share is 1.5'):
    photo_sources.Skipping([], 'photos', share=1.5)


# Not registered: as in a training run, the dataset is found by its files alone.
class Toy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Forty flat images."""

  __module__ = 'toy'  # tfds looks for the source of modules in packages

  VERSION = tfds.core.Version('1.0.0')

  def _info(self):
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict({'image': tfds.features.Image(shape=(8, 8, 3))}),
    )

  def _split_generators(self, dl_manager):
    return {'train': self._generate_examples()}

  def _generate_examples(self):
    for i in range(40):
      yield i, {'image': Image.fromarray(flat(i, 8, 8))}


@pytest.fixture(name='prepared', scope='module')
def fixture_prepared(tmp_path_factory):
  root = tmp_path_factory.mktemp('tfds')
  Toy(data_dir=root, file_format='array_record').download_and_prepare()
  return root


def test_dataset_photos(prepared):
  parts = {
    s: photo_sources.dataset_photos('tfds:toy', s, data_dir=prepared) for s in photo_sources.SPLITS
  }
  seen = {s: sorted(int(photo[0, 0, 0]) for photo in part) for s, part in parts.items()}
  assert seen['all'] == list(range(40))
  assert sorted(seen['train'] + seen['val'] + seen['test']) == seen['all']
  for where in ('tfds:toy:train[:25%]', 'tfds:toy:1.0.0:train[:25%]'):
    part = photo_sources.dataset_photos(where, 'all', data_dir=prepared)
    assert len(part) == 10 and part[3].shape == (8, 8, 3)
  copy = pickle.loads(pickle.dumps(parts['all']))
  np.testing.assert_array_equal(copy[7], parts['all'][7])


def test_bad_dataset(prepared):
  for where in ('tfds:nothing_like_it', 'tfds:toy:validation'):
    with pytest.raises(ValueError, match=f'^{where}: not prepared on this machine') as caught:
      photo_sources.dataset_photos(where, data_dir=prepared)
    assert '\n' not in str(caught.value)
  with pytest.raises(ValueError, match='tfds:: not a dataset; write tfds:NAME'):
    photo_sources.open_photos('tfds:')


def test_no_machine_path_in_names():
  assert all(pathlib.Path(name).name == name for name in photo_sources.open_photos('builtin').names)


def test_what_is_skipped_is_said_though_the_commands_silence_the_rest(caplog):
  root = logging.getLogger()
  before = root.level
  try:
    root.setLevel(logging.ERROR)
    logging.getLogger('orbax').warning('a word for every save')
    assert photo_sources.Skipping(Broken(9, {4}), 'photos')[4] == 5
  finally:
    root.setLevel(before)
  messages = [record.getMessage() for record in caplog.records]
  assert messages == ['skipped (1 so far): 4.jpg: the file is damaged']
