"""Fingerprints of data: they change with the names and sizes of files, and not otherwise."""

import pytest

from depthjax.data.sources import fingerprint


@pytest.fixture(name='photos')
def fixture_photos(tmp_path):
  folder = tmp_path / 'photos'
  (folder / 'more').mkdir(parents=True)
  (folder / 'a.png').write_bytes(b'1')
  (folder / 'more' / 'b.png').write_bytes(b'22')
  return folder


def test_a_folder_is_known_by_names_and_sizes(photos, tmp_path):
  fields = {'photo_source': f'{photos}=1,builtin=2', 'scene_source': '', 'layers': 3}
  before = fingerprint.fingerprints(fields)
  assert list(before) == [str(photos)]
  moved = photos.rename(tmp_path / 'moved')
  assert fingerprint.fingerprints({'photo_source': str(moved)})[str(moved)] == before[str(photos)]
  (moved / 'more' / 'b.png').write_bytes(b'333')
  assert fingerprint.fingerprints({'photo_source': str(moved)})[str(moved)] != before[str(photos)]
  (moved / 'more' / 'b.png').write_bytes(b'22')
  (moved / 'a.png').rename(moved / 'c.png')
  assert fingerprint.fingerprints({'photo_source': str(moved)})[str(moved)] != before[str(photos)]


def test_drawn_and_built_in_records_have_no_files():
  fields = {'photo_source': 'builtin', 'scene_source': '', 'depth_source': 'drawn'}
  other = {'a_source': 3, 'b_source': {}, 'c_source': 'x=y=z', 'd_source': 'tfds:no_such'}
  assert fingerprint.fingerprints({**fields, **other}) == {}
