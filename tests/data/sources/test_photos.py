"""Sources of photos and foregrounds: valid input, splits, cache, skipping, errors."""

import logging
import pickle

import numpy as np
import pytest
from PIL import Image

from depthjax.data.sources import holdout
from depthjax.data.sources import photos as photo_sources
from depthjax.files.errors import InputError
from tests.data.made import flat, write

SPLITS = ('train', 'val', 'test')


def names(where, split):
  return photo_sources.open_photos(str(where), split).names


def test_built_in_photos_are_readable_and_splits_disjoint():
  photos = photo_sources.open_photos('builtin', 'all')
  assert sorted(sum((names('builtin', s) for s in SPLITS), ())) == sorted(photos.names)
  assert len(set(photos.names)) == 14 and not any('motorcycle' in name for name in photos.names)
  for photo in photos:
    assert photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3
    assert min(photo.shape[:2]) >= 150 and photo.std() > 5


def test_folder_with_subfolders_is_split_by_name(tmp_path):
  for i in range(120):
    write(tmp_path / 'ab'[i % 2] / f'{i}.png', flat(i))
  parts = {split: set(names(tmp_path, split)) for split in SPLITS}
  assert set.union(*parts.values()) == set(names(tmp_path, 'all'))
  assert sum(map(len, parts.values())) == 120
  assert len(parts['train']) > 95 and parts['val'] and parts['test']
  # A new photo does not move the others.
  new = write(tmp_path / 'a' / 'new.png', flat(0))
  assert set(names(tmp_path, 'val')) - {str(new)} == parts['val']


def test_split_of_a_name_never_changes():
  # A change would move photos from the test set into the training set of earlier runs.
  held_out = {n: holdout.split_of(f'{n}.png') for n in range(90)}
  held_out = {n: split for n, split in held_out.items() if split != 'train'}
  assert held_out == {25: 'val', 40: 'val', 41: 'val', 60: 'test', 63: 'val'}


@pytest.fixture(name='matted')
def fixture_matted(tmp_path):
  """A folder with photos/cat.png and mattes/cat.png."""
  alpha, colour = flat(0, c=0), flat((20, 30, 40))
  alpha[3:9, 4:12], alpha[2, 4:12] = 255, 128
  colour[3:9, 4:12] = (200, 100, 50)
  write(tmp_path / 'photos' / 'cat.png', colour)
  write(tmp_path / 'mattes' / 'cat.png', alpha)
  return tmp_path


def test_foreground_colours_are_extended_below_soft_alpha(matted, tmp_path):
  (item,) = photo_sources.open_foregrounds(str(matted), 'all')
  assert item.shape == (12, 16, 4) and item[2, 6, 3] == 128
  assert np.abs(item[..., :3].astype(int) - (200, 100, 50)).max() <= 1
  photo, matte = (np.asarray(Image.open(matted / f / 'cat.png')) for f in ('photos', 'mattes'))
  write(tmp_path / 'cutouts' / 'cat.png', np.dstack([photo, matte]))
  (cutout,) = photo_sources.open_foregrounds(str(tmp_path / 'cutouts'), 'all')
  np.testing.assert_array_equal(cutout, item)


def test_unusable_foregrounds_are_named(matted):
  matte = matted / 'mattes' / 'cat.png'
  write(matted / 'rgb' / 'a.png', flat(3))
  for image, folder, message in (
    (flat(255, 12, 15, 0), matted, 'cat.png: .*size'),
    (flat(100, c=0), matted, 'cat.png: .*opaque'),
    (flat(100, c=0), matted / 'rgb', 'a.png: .*alpha'),
  ):
    write(matte, image)
    with pytest.raises(ValueError, match=message):
      photo_sources.open_foregrounds(str(folder), 'all')[0]
  matte.unlink()
  with pytest.raises(ValueError, match='cat.png: the photo has no matte; put one at .*cat.png'):
    photo_sources.open_foregrounds(str(matted), 'all')


@pytest.mark.parametrize('opened', [photo_sources.open_photos, photo_sources.open_foregrounds])
def test_folders_without_enough_images_are_refused(tmp_path, opened):
  with pytest.raises(ValueError, match='nowhere: no such folder'):
    opened(str(tmp_path / 'nowhere'))
  with pytest.raises(ValueError, match='no image in it; give a folder with .jpg'):
    opened(str(tmp_path))
  write(tmp_path / 'a.png', flat(1))
  with pytest.raises(ValueError, match='has 1 item.s.; expected at least 3'):
    opened(str(tmp_path), 'val')


def test_cache_is_bounded_and_drops_the_least_recently_used(monkeypatch):
  loaded, indices = [], (0, 1, 2, 1, 2, 0, 3, 2, 0, 1, -1)
  monkeypatch.setattr(photo_sources, 'CACHE_BYTES', 3 * 300)
  source = photo_sources.Source('abcd', lambda i: loaded.append(i) or flat(i, 10, 10))
  assert [source[i][0, 0, 0] for i in indices] == [i % 4 for i in indices]
  assert loaded == [0, 1, 2, 3, 1, 3]  # 3 has replaced 1.
  with pytest.raises(IndexError):
    source[4]
  with pytest.raises(ValueError, match='read-only'):
    source[0][0] = 1


def test_sources_are_pickled_without_images():
  photos = photo_sources.open_photos('builtin')
  assert len(list(photos)) == 9
  data = pickle.dumps(photos)
  assert len(data) < 5000
  np.testing.assert_array_equal(pickle.loads(data)[2], photos[2])


def skipping(count, bad):
  """A source of numbers, some of which cannot be read, and the list of all reads."""
  reads = []

  def load(index):
    reads.append(index)
    if index in bad:
      raise ValueError(f'{index}.jpg: the file is damaged')
    return np.array(index)

  return photo_sources.Skipping(photo_sources.Source(range(count), load), 'photos'), reads


def test_unreadable_items_are_replaced_and_logged_once(caplog):
  caplog.set_level(logging.ERROR)  # Of the root logger, as the commands set it.
  caplog.handler.setLevel(logging.NOTSET)
  source, reads = skipping(100, {3, 4, 99})
  assert [source[i] for i in (2, 3, 4, 99, 3, 4)] == [2, 5, 5, 0, 5, 5]
  skipped = enumerate((3, 4, 99), 1)
  messages = [f'skipped ({n} so far): {i}.jpg: the file is damaged' for n, i in skipped]
  assert [r.getMessage() for r in caplog.records] == messages
  assert reads.count(3) == 1  # Not tried again.


def test_too_many_unreadable_items_are_an_error():
  with pytest.raises(InputError, match='^photos: 3 of 40 items cannot be read .last: 2.jpg.* 5%'):
    skipping(40, range(10))[0][0]
  with pytest.raises(InputError, match=r'^photos: none of 1 items can be read \(0.jpg'):
    skipping(1, [0])[0][0]
