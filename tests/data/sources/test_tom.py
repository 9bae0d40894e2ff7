"""Photos with masks of glass and mirrors: layouts, splits, codes of masks, refused folders."""

import pickle
import re

import numpy as np
import pytest
from PIL import Image

from depthjax.data.sources import tom
from depthjax.files.errors import InputError
from tests.data.made import flat, write

_HALF = np.arange(16) < 8


def _add(folder, name, *, images='images', masks='masks', end='', code=255, value=9):
  """A photo whose left half is masked."""
  write(folder / images / f'{name}.jpg', flat(value))
  return write(folder / masks / f'{name}{end}.png', _HALF * flat(code, c=0))


def _names(folder, split, labels=''):
  return [paths[0].stem for paths in tom.Labelled(str(folder), split, labels).files]


@pytest.mark.parametrize('code', [255, 254, 127, 1, (0, 0, 3)])
def test_every_code_above_0_is_glass_or_a_mirror(tmp_path, code):
  for i in range(4):
    _add(tmp_path, f'a/{i}')
    write(tmp_path / 'masks' / 'a' / f'{i}.png', _HALF[:, None] * flat(code))
    (tmp_path / 'labels' / 'a').mkdir(parents=True, exist_ok=True)
    np.save(tmp_path / 'labels' / 'a' / f'{i}.npy', np.ones((3, 4)))
  item = pickle.loads(pickle.dumps(tom.Labelled(str(tmp_path), 'all', 'labels')))[2]
  assert item['tom'].dtype == bool and (item['tom'] == _HALF).all()
  assert (item['image'].shape, item['label'].dtype) == ((12, 16, 3), np.float32)
  assert 'label' not in tom.Labelled(str(tmp_path), 'all', '')[2]
  np.save(tmp_path / 'labels' / 'a' / '2.npy', np.full((3, 4), np.nan))
  with pytest.raises(InputError, match=r'2.npy: has a label with missing values; expected finite'):
    tom.Labelled(str(tmp_path), 'all', 'labels')[2]


@pytest.mark.parametrize('name', ['1_mask.png', '1-mask.tif', '1.npy', '1.png'])
def test_masks_have_the_names_and_formats_of_tom_labels(tmp_path, name):
  write(tmp_path / 'images' / '1.png', flat(9))
  mask, path = 255 * _HALF * flat(1, c=0), tmp_path / 'masks_proxy' / name
  path.parent.mkdir()
  if name == '1.npy':
    np.save(path, mask)
  else:
    write(path, np.dstack([flat(7), mask]) if name == '1.png' else mask)  # A cut-out.
  item = tom.Labelled(str(tmp_path), 'all', '', 'masks_proxy')[0]
  np.testing.assert_array_equal(item['tom'], mask > 0)


def test_labels_need_no_masks(tmp_path):
  write(tmp_path / 'images' / '1.png', flat(9))
  (tmp_path / 'labels').mkdir()
  np.save(tmp_path / 'labels' / '1.npy', np.ones((3, 4)))
  item = tom.Labelled(str(tmp_path), 'all', 'labels')[0]
  assert item['tom'].shape == (12, 16) and not item['tom'].any()


def test_masks_have_the_size_of_the_upright_photo_as_stored(tmp_path):
  mask = _add(tmp_path, '1')
  photo, exif = tmp_path / 'images' / '1.jpg', Image.Exif()
  exif[0x0112] = 6
  Image.fromarray(flat(9, 8, 2560)).save(photo, exif=exif)
  write(mask, flat(255, 2560, 8, 0))
  item = tom.Labelled(str(tmp_path), 'all', '')[0]
  assert item['image'].shape == (1280, 4, 3) and item['tom'].all()
  write(mask, flat(255, 2600, 8, 0))  # The same after reduction.
  words = '1.png: is 8 x 2600 pixels, but its photo is 8 x 2560 pixels; expected the same'
  with pytest.raises(InputError, match=words):
    tom.Labelled(str(tmp_path), 'all', '')[0]


def test_the_splits_of_trans10k_are_its_folders(tmp_path):
  for split in ('train', 'validation/easy', 'validation/hard', 'test/easy'):
    _add(tmp_path / split, split.replace('/', '-'), end='_mask')
  names = {split: _names(tmp_path, split) for split in ('train', 'val', 'test')}
  assert names['val'] == ['validation-easy', 'validation-hard']
  assert (names['train'], names['test']) == (['train'], ['test-easy'])


def test_a_missing_split_is_a_part_of_train_as_for_msd(tmp_path):
  for split, count in (('train', 60), ('test', 2)):
    for i in range(count):
      _add(tmp_path / split, f'{split}{i}', images='image', masks='mask')
  names = {split: set(_names(tmp_path, split)) for split in ('train', 'val', 'test')}
  assert names['test'] == {'test0', 'test1'} and 0 < len(names['val']) < 10
  assert not names['train'] & names['val'] and len(names['train']) > 45
  assert len(_names(tmp_path / 'train', 'all')) == 60


def test_bad_folders_are_refused(tmp_path):
  with pytest.raises(InputError, match='has no photos; expected images/NAME.jpg and masks/NAME'):
    tom.Labelled(str(tmp_path), 'all', '')
  mask = _add(tmp_path, '1')
  with pytest.raises(InputError, match='1.jpg: has no label; expected .*1.npy, as depthjax tom-l'):
    tom.Labelled(str(tmp_path), 'all', 'labels')
  write(mask, flat(255, h=6, c=0))
  with pytest.raises(InputError, match='1.png: is 16 x 6 pixels, but its photo is 16 x 12 pixels'):
    tom.Labelled(str(tmp_path), 'all', '')[0]
  mask.unlink()
  with pytest.raises(InputError, match=re.escape(f'1.jpg: has no mask; expected {mask}')):
    tom.Labelled(str(tmp_path), 'all', '')
