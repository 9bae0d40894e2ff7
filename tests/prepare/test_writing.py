"""The prepared form: what was read comes back, all or nothing, whatever goes wrong on the way."""

import itertools
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from depthjax.data.records import evaluation
from depthjax.data.sources import holdout
from depthjax.files.errors import InputError
from depthjax.prepare import catalogue, pictures, writing
from tests.prepare import made


def _tree(place):
  """Names and contents of all files of a folder."""
  return {
    file.relative_to(place).as_posix(): file.read_bytes() if file.is_file() else None
    for file in sorted(place.rglob('*'))
  }


def _stored(folder):
  """name -> (split, record as it comes back)."""
  builder = tfds.builder_from_directory(folder)
  return {
    record['name'].decode(): (split, record)
    for split in builder.info.splits
    for record in builder.as_data_source(split=split)
  }


@pytest.mark.parametrize('name', made.MAKERS)
def test_what_was_read_comes_back(name, tmp_path):
  source = made.MAKERS[name](tmp_path / 'source')
  done = writing.prepare(name, source, tmp_path / 'target')
  assert done.folder == tmp_path / 'target' / name / '1.0.0' and done.skipped == []
  found = catalogue.DATASETS[name].read(source)
  stored = _stored(done.folder)
  assert stored.keys() == {entry.name for entry in found.entries}
  for entry in found.entries:
    _, record = stored[entry.name]
    for field, value in entry.load().items():
      if isinstance(value, str):
        assert record[field].decode() == value
      else:
        np.testing.assert_array_equal(record[field], value, err_msg=f'{entry.name} {field}')
        assert np.ndim(value) == 0 or record[field].dtype == value.dtype


def test_splits_are_by_group_and_the_rule_of_folders(tmp_path):
  blb = _stored(writing.prepare('blb', made.blb(tmp_path / 'blb', 8), tmp_path / 'a').folder)
  of_scene = {}
  for name, (split, _) in blb.items():
    of_scene.setdefault(name.partition('/')[0], set()).add(split)
  assert all(len(splits) == 1 for splits in of_scene.values())
  assert set.union(*of_scene.values()) == set(writing.SPLITS)
  done = writing.prepare('ebb', made.ebb(tmp_path / 'ebb', 70), tmp_path / 'a')
  names = [str(i) for i in range(70)]
  for split in writing.SPLITS:
    want = {name for name in names if holdout.split_of(name) == split}
    assert {name for name, (of, _) in _stored(done.folder).items() if of == split} == want
    assert done.counts[split] == len(want) > 0


def test_the_description_says_what_was_done(tmp_path):
  made.ebb(tmp_path / 'source', 20)
  (tmp_path / 'source' / 'bokeh' / '12.png').unlink()
  done = writing.prepare('ebb', tmp_path / 'source', tmp_path / 'a', long_side=8)
  info = json.loads((done.folder / 'dataset_info.json').read_text())
  assert (info['name'], info['version'], info['fileFormat']) == ('ebb', '1.0.0', 'array_record')
  counts = {split['name']: int(split['shardLengths'][0]) for split in info['splits']}
  assert counts == done.counts and sum(counts.values()) == 19
  metadata = json.loads((done.folder / 'metadata.json').read_text())
  assert metadata == {'skipped': done.skipped, 'long_side': 8, 'counts': counts}
  assert 'original/12.png: has no partner' in done.skipped[0]


def test_the_same_source_makes_the_same_files(tmp_path, monkeypatch):
  source = made.ebb(tmp_path / 'source', 30)
  first = _tree(writing.prepare('ebb', source, tmp_path / 'a').folder)
  given = type(source).iterdir
  monkeypatch.setattr(type(source), 'iterdir', lambda self: reversed(sorted(given(self))))
  again = _tree(writing.prepare('ebb', source, tmp_path / 'b').folder)
  assert first == again and len(first) >= 6


def test_reduced_pictures_are_means_and_maps_are_samples():
  rng = np.random.default_rng(0)
  mask = np.where(rng.random((12, 16, 1)) < 0.5, 255, 0).astype(np.uint8)
  disparity = rng.random((12, 16, 1), np.float32)
  record = {
    **{'image': made.picture(0), 'target': made.picture(1), 'matte': made.matte(0)[..., None]},
    **{'mask': mask, 'disparity': disparity, 'valid': mask},
    **{'blur': np.float32(6), 'focus': np.float32(0.5), 'unit': 'px'},
  }
  small = pictures.reduced(record, 4)
  assert small.keys() == record.keys()
  for field in ('image', 'target', 'matte'):
    mean = record[field].reshape(3, 4, 4, 4, -1).mean(axis=(1, 3))
    np.testing.assert_allclose(small[field], mean, atol=0.51)
  half = mask.reshape(3, 4, 4, 4, 1).mean(axis=(1, 3))
  clear = np.abs(half - 128) > 1
  np.testing.assert_array_equal((small['mask'] == 255)[clear], (half > 128)[clear])
  assert set(np.unique(small['mask'])) == {0, 255}
  picks = {(y, x) for y, x in itertools.product(range(12), range(16))}
  for y, x in itertools.product(range(3), range(4)):
    assert any(
      disparity[p] == small['disparity'][y, x] and mask[p] == small['valid'][y, x]
      for p in picks
      if p[0] // 4 == y and p[1] // 4 == x
    )
  assert (small['blur'], small['focus'], small['unit']) == (1.5, 0.5, 'px')
  assert pictures.reduced(record, 16) is record and pictures.reduced(record, None) is record


def _one_short(place):
  (place / 'bokeh' / '3.png').unlink()


def _cut(place):
  made.truncate(place / 'original' / '3.png')


def _taller(place):
  made.write(place / 'bokeh' / '3.png', made.picture(0, h=20))


def _no_folder(place):
  for file in (place / 'bokeh').iterdir():
    file.unlink()
  (place / 'bokeh').rmdir()


def _emptied(place):
  for file in (*place.glob('bokeh/*'), *place.glob('original/*')):
    file.unlink()


def _two_left(place):
  for i in range(2, 8):
    (place / 'original' / f'{i}.png').unlink()
    (place / 'bokeh' / f'{i}.png').unlink()


_SPOILED = {
  _one_short: '1 of 8 records are bad, more than the share of 0.05 .*3.png: has no partner',
  _cut: '1 of 8 records are bad, .*original/3.png: is truncated or damaged',
  _taller: '1 of 8 records are bad, .*3.png: is 16 x 12 pixels but bokeh/3.png is 16 x 20',
  _no_folder: 'source: has no folder bokeh/; expected the dataset as it is distributed',
  _emptied: 'source: holds no record; expected photos in original/ and bokeh/',
  _two_left: 'source: holds 2 scenes .*; expected at least 3',
}


@pytest.mark.parametrize('existing', [False, True])
@pytest.mark.parametrize('spoil', _SPOILED)
def test_a_bad_source_leaves_nothing_behind(spoil, existing, tmp_path):
  spoil(made.ebb(tmp_path / 'source'))
  if existing:
    writing.prepare('duts', made.duts(tmp_path / 'duts'), tmp_path / 'target')
  before = _tree(tmp_path)
  with pytest.raises(InputError, match=_SPOILED[spoil]) as caught:
    writing.prepare('ebb', tmp_path / 'source', tmp_path / 'target')
  assert '\n' not in str(caught.value)
  assert _tree(tmp_path) == before


def test_the_share_of_bad_records_is_what_was_asked_for(tmp_path):
  place = made.ebb(tmp_path / 'source', 20)
  _cut(place)
  assert len(writing.prepare('ebb', place, tmp_path / 'a').skipped) == 1  # exactly 5 %
  made.truncate(place / 'bokeh' / '4.png')
  with pytest.raises(InputError, match='2 of 20 records are bad'):
    writing.prepare('ebb', place, tmp_path / 'b')
  done = writing.prepare('ebb', place, tmp_path / 'b', most_bad=0.1)
  assert sum(done.counts.values()) == 18
  assert [line.partition(': ')[0] for line in done.skipped] == [
    str(place / 'original' / '3.png'),
    str(place / 'bokeh' / '4.png'),
  ]


def test_a_split_of_bad_records_is_refused(tmp_path):
  place = made.ebb(tmp_path / 'source', 3)
  held = next(i for i in range(3) if holdout.members(['0', '1', '2'], 'val') == [i])
  made.truncate(place / 'bokeh' / f'{held}.png')
  with pytest.raises(
    InputError, match=f'no good record for the split val; the last: .*bokeh/{held}.png'
  ):
    writing.prepare('ebb', place, tmp_path / 'a', most_bad=1)
  assert not (tmp_path / 'a').exists()


def test_what_exists_stays(tmp_path):
  source = made.ebb(tmp_path / 'source')
  done = writing.prepare('ebb', source, tmp_path / 'a')
  before = _tree(done.folder)
  with pytest.raises(InputError, match='1.0.0: exists already'):
    writing.prepare('ebb', source, tmp_path / 'a', long_side=8)
  assert _tree(done.folder) == before


def test_an_interruption_leaves_nothing_behind(tmp_path):
  def track(entries):
    for i, entry in enumerate(entries):
      if i == 2:
        raise KeyboardInterrupt
      yield entry

  made.ebb(tmp_path / 'source')
  before = _tree(tmp_path)
  with pytest.raises(KeyboardInterrupt):
    writing.prepare('ebb', tmp_path / 'source', tmp_path / 'new' / 'target', track=track)
  assert _tree(tmp_path) == before


def test_a_target_that_is_a_file(tmp_path):
  source = made.ebb(tmp_path / 'source')
  (tmp_path / 'file').write_text('')
  with pytest.raises(InputError, match='file: is not a folder'):
    writing.prepare('ebb', source, tmp_path / 'file')


_FULL = [OSError(28, os.strerror(28)), RuntimeError('write() failed: No space left on device; ...')]


@pytest.mark.parametrize('error', _FULL)
def test_a_full_disk_leaves_nothing_behind(error, tmp_path, monkeypatch):
  def full(*_):
    raise error

  source = made.ebb(tmp_path / 'source')
  before = _tree(tmp_path)
  monkeypatch.setattr(os, 'replace', full)
  with pytest.raises(InputError, match='target: cannot be written .No space left on device.'):
    writing.prepare('ebb', source, tmp_path / 'target')
  assert _tree(tmp_path) == before


def test_a_folder_that_may_not_be_listed(tmp_path, monkeypatch):
  source = made.ebb(tmp_path / 'source')

  def refuse(self):
    raise PermissionError(13, os.strerror(13), str(self))

  monkeypatch.setattr(type(source), 'iterdir', refuse)
  with pytest.raises(InputError, match='original: cannot be read .Permission denied.'):
    writing.prepare('ebb', source, tmp_path / 'target')


_WITHOUT_TENSORFLOW = """
import sys
from depthjax.prepare import writing
writing.prepare('duts', sys.argv[1], sys.argv[2])
from depthjax.data.sources import photos
assert len(photos.open_photos(f'tfds:{sys.argv[2]}/duts', 'all')[0].shape) == 3
assert 'tensorflow' not in sys.modules
"""


@pytest.mark.slow
def test_tensorflow_is_needed_nowhere(tmp_path):
  made.duts(tmp_path / 'source')
  arguments = [str(tmp_path / 'source'), str(tmp_path / 'target')]
  done = subprocess.run(
    [sys.executable, '-W', 'error', '-c', _WITHOUT_TENSORFLOW, *arguments],
    capture_output=True,
    text=True,
    env={**os.environ, 'PYTHONPATH': os.getcwd()},
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout == ''


def test_sixteen_bit_pictures_become_eight(tmp_path):
  place = made.ebb(tmp_path / 'source', 3)
  deep = made.picture(0).astype(np.uint16) * 257
  cv2.imwrite(str(place / 'original' / '0.png'), deep[..., ::-1])
  done = writing.prepare('ebb', place, tmp_path / 'a')
  everything = evaluation.open_records(f'tfds:{done.folder}', 'all')
  zero = next(record for record in everything if record['name'] == '0')
  np.testing.assert_allclose(zero['image'] * 255, made.picture(0), atol=1e-4)
