"""Prepared datasets: what is stored, and that nothing is left behind after a failure."""

import itertools
import json
import os
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

from depthjax.data.sources import holdout
from depthjax.prepare import catalogue, pictures, writing
from tests import messages
from tests.prepare import made


def _tree(path):
  """Contents of all files in a folder, None for folders."""
  return {
    file.relative_to(path).as_posix(): file.read_bytes() if file.is_file() else None
    for file in sorted(path.rglob('*'))
  }


def _stored(folder):
  """(split, record) by name."""
  builder = tfds.builder_from_directory(folder)
  return {
    record['name'].decode(): (split, record)
    for split in builder.info.splits
    for record in builder.as_data_source(split=split)
  }


@pytest.mark.parametrize('name', made.MAKERS)
def test_records_are_stored_unchanged(name, tmp_path):
  source = made.MAKERS[name](tmp_path / 'source')
  done = writing.prepare(name, source, tmp_path / 'target')
  assert done.folder == tmp_path / 'target' / name / '1.0.0' and done.skipped == []
  entries = {entry.name: entry for entry in catalogue.DATASETS[name].read(source).entries}
  stored = _stored(done.folder)
  assert stored.keys() == entries.keys()
  for key, (_, record) in stored.items():
    for field, value in entries[key].load().items():
      if isinstance(value, str):
        assert record[field].decode() == value
      else:
        np.testing.assert_array_equal(record[field], value, err_msg=f'{key} {field}')
        assert np.ndim(value) == 0 or record[field].dtype == value.dtype


def test_splits_are_by_group_and_hash(tmp_path):
  blb = _stored(writing.prepare('blb', made.blb(tmp_path / 'blb', 8), tmp_path / 'a').folder)
  splits = {}
  for name, (split, _) in blb.items():
    splits.setdefault(name.partition('/')[0], set()).add(split)
  assert all(len(found) == 1 for found in splits.values())
  assert set.union(*splits.values()) == set(writing.SPLITS)
  done = writing.prepare('ebb', made.ebb(tmp_path / 'ebb', 70), tmp_path / 'a')
  stored = _stored(done.folder)
  assert {name: split for name, (split, _) in stored.items()} == {
    str(i): holdout.split_of(str(i)) for i in range(70)
  }
  assert all(done.counts.values()) and sum(done.counts.values()) == 70


def test_metadata_has_counts_and_skipped_records(tmp_path):
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


def test_images_are_reduced_by_averages_and_maps_by_samples():
  rng = np.random.default_rng(0)
  mask = np.where(rng.random((12, 16, 1)) < 0.5, 255, 0).astype(np.uint8)
  disparity = rng.random((12, 16, 1), np.float32)
  record = {
    **{'image': made.picture(0), 'target': made.picture(1), 'matte': made.matte(0)[..., None]},
    **{'mask': mask, 'tom': mask, 'disparity': disparity, 'valid': mask},
    **{'blur': np.float32(6), 'focus': np.float32(0.5), 'unit': 'px'},
  }
  small = pictures.reduced(record, 4)
  assert small.keys() == record.keys()
  # The 16 pixels of each reduced pixel [3 16 4 c].
  blocks = lambda x: x.reshape(3, 4, 4, 4, -1).swapaxes(2, 3).reshape(3, 16, 4, -1)  # noqa: E731
  for field in ('image', 'target', 'matte'):
    np.testing.assert_allclose(small[field], blocks(record[field]).mean(axis=1), atol=0.51)
  for field in ('mask', 'tom'):
    np.testing.assert_array_equal(small[field], 255 * (blocks(mask).mean(axis=1) > 127))
  same = blocks(disparity) == small['disparity'][:, None]
  assert (same & (blocks(mask) == small['valid'][:, None])).any(axis=1).all()
  assert (small['blur'], small['focus'], small['unit']) == (1.5, 0.5, 'px')
  assert pictures.reduced(record, 16) is record and pictures.reduced(record, None) is record


def test_fraction_of_bad_records_is_limited(tmp_path):
  source = made.ebb(tmp_path / 'source', 20)
  made.truncate(source / 'original' / '3.png')
  assert len(writing.prepare('ebb', source, tmp_path / 'a').skipped) == 1  # Exactly 5 %.
  made.truncate(source / 'bokeh' / '4.png')
  messages.refused(
    lambda: writing.prepare('ebb', source, tmp_path / 'b'), '2 of 20 records are bad'
  )
  done = writing.prepare('ebb', source, tmp_path / 'b', max_bad=0.1)
  assert sum(done.counts.values()) == 18
  files = [source / 'original' / '3.png', source / 'bokeh' / '4.png']
  assert [line.partition(': ')[0] for line in done.skipped] == list(map(str, files))


def test_split_without_good_records_is_refused(tmp_path):
  source = made.ebb(tmp_path / 'source', 3)
  (number,) = holdout.members(['0', '1', '2'], 'val')
  made.truncate(source / 'bokeh' / f'{number}.png')
  words = 'no good record for the split val', f'bokeh/{number}.png'
  messages.refused(lambda: writing.prepare('ebb', source, tmp_path / 'a', max_bad=1), *words)
  assert not (tmp_path / 'a').exists()


def test_existing_dataset_is_not_replaced(tmp_path):
  source = made.ebb(tmp_path / 'source')
  done = writing.prepare('ebb', source, tmp_path / 'a')
  before = _tree(done.folder)
  messages.refused(lambda: writing.prepare('ebb', source, tmp_path / 'a'), '1.0.0: exists already')
  assert _tree(done.folder) == before


def test_interruption_leaves_nothing_behind(tmp_path):
  def track(entries):
    yield from itertools.islice(entries, 2)
    raise KeyboardInterrupt

  made.ebb(tmp_path / 'source')
  before = _tree(tmp_path)
  with pytest.raises(KeyboardInterrupt):
    writing.prepare('ebb', tmp_path / 'source', tmp_path / 'new' / 'target', track=track)
  assert _tree(tmp_path) == before


_FULL = [OSError(28, os.strerror(28)), RuntimeError('write() failed: No space left on device; ...')]


@pytest.mark.parametrize('error', _FULL)
def test_full_disk_leaves_nothing_behind(error, tmp_path, monkeypatch):
  source = made.ebb(tmp_path / 'source')
  writing.prepare('duts', made.duts(tmp_path / 'duts'), tmp_path / 'target')
  before = _tree(tmp_path)
  monkeypatch.setattr(os, 'replace', mock.Mock(side_effect=error))
  words = 'target: cannot be written (No space left on device)'
  messages.refused(lambda: writing.prepare('ebb', source, tmp_path / 'target'), words)
  assert _tree(tmp_path) == before


_SCRIPT = """
import sys
from depthjax.prepare import writing
writing.prepare('duts', sys.argv[1], sys.argv[2])
from depthjax.data.sources import photos
assert len(photos.open_photos(f'tfds:{sys.argv[2]}/duts', 'all')[0].shape) == 3
assert 'tensorflow' not in sys.modules
"""


@pytest.mark.slow
def test_tensorflow_is_never_imported(tmp_path):
  made.duts(tmp_path / 'source')
  command = [sys.executable, '-W', 'error', '-c', _SCRIPT, 'source', 'target']
  options = {'env': {**os.environ, 'PYTHONPATH': os.getcwd()}, 'cwd': tmp_path}
  done = subprocess.run(command, capture_output=True, text=True, **options)
  assert (done.returncode, done.stdout) == (0, ''), done.stderr
