"""Photos with masks of glass and mirrors: layouts, splits, codes of masks, refused folders."""

import pickle
import re

import numpy as np
import pytest

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
  with pytest.raises(
    InputError, match='1.png: is 16 x 6, but its photo is 16 x 12; expected the s'
  ):
    tom.Labelled(str(tmp_path), 'all', '')[0]
  mask.unlink()
  with pytest.raises(InputError, match=re.escape(f'1.jpg: has no mask; expected {mask}')):
    tom.Labelled(str(tmp_path), 'all', '')
