"""Files behind URLs: copied once, updated and deleted with the remote files, errors of one line."""

import importlib
import pathlib
import sys
from concurrent import futures

import numpy as np
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from depthjax.data.records import evaluation, scene
from depthjax.data.sources import photos as photo_sources
from depthjax.data.sources import remote, shards
from depthjax.files.errors import InputError
from depthjax.prepare import writing
from tests.data.made import assert_same, flat, write
from tests.data.sources import test_shards
from tests.prepare import made

_REGISTRY = importlib.import_module('fsspec.registry')  # `fsspec.registry` is a read-only view.


@pytest.fixture(name='bucket')
def fixture_bucket(tmp_path, monkeypatch):
  """The local folder behind gs://bucket, and the list of downloaded paths; the cache is empty."""

  class Cloud(DirFileSystem):
    """A local folder with the interface of gcsfs."""

    protocol, cachable, downloads = ('gs', 'gcs'), False, []

    def __init__(self, **_):
      super().__init__(path=str(tmp_path / 'cloud'), fs=LocalFileSystem())

    @classmethod
    def _strip_protocol(cls, path):
      return str(path).removeprefix('gs://').rstrip('/')

    def get_file(self, path, target, **options):
      self.downloads.append(path)
      super().get_file(path, target, **options)

  monkeypatch.setitem(_REGISTRY._registry, 'gs', Cloud)
  monkeypatch.setenv('DEPTHJAX_CACHE', str(tmp_path / 'cache'))
  (tmp_path / 'cloud' / 'bucket').mkdir(parents=True)
  return tmp_path / 'cloud' / 'bucket', Cloud.downloads


def test_files_are_copied_once_and_follow_the_remote_files(bucket, caplog):
  root, downloads = bucket
  for name in ('a/1.txt', '2.txt', '3.png'):
    (root / 'x' / name).parent.mkdir(parents=True, exist_ok=True)
    (root / 'x' / name).write_text(name)

  def fetch(**options):
    downloads.clear()
    folder = remote.fetch('gs://bucket/x', **options)
    return folder, sorted(path.removeprefix('bucket/x/') for path in downloads)

  folder, names = fetch(wanted=lambda name: name.endswith('.txt'))
  assert names == ['2.txt', 'a/1.txt'] and (folder / 'a' / '1.txt').read_text() == 'a/1.txt'
  assert 'copying 2 files of gs://bucket/x to ' in caplog.text
  assert fetch()[1] == ['3.png'] and fetch()[1] == []
  (root / 'x' / '2.txt').write_text('another size')
  (root / 'x' / 'a/1.txt').write_text('a/2.txt')  # Same size, later.
  assert fetch()[1] == ['2.txt', 'a/1.txt'] and fetch()[1] == []
  assert (folder / '2.txt').read_text() == 'another size'
  assert remote.fetch('gs://bucket/x/a') != folder == remote.fetch('gs://bucket/x/')
  (root / 'x' / '2.txt').unlink()
  assert fetch()[1] == [] and not (folder / '2.txt').exists() and (folder / 'a/1.txt').exists()


def test_failed_download_leaves_no_file(bucket, monkeypatch):
  (bucket[0] / 'x').write_bytes(bytes(100))

  def fail(self, path, target, **_):
    pathlib.Path(target).write_bytes(b'half')
    raise OSError('connection lost')

  monkeypatch.setattr(_REGISTRY._registry['gs'], 'get_file', fail)
  with pytest.raises(InputError, match='^gs://bucket: cannot be read or copied .connection lost'):
    remote.fetch('gs://bucket')
  assert not any(path.is_file() for path in remote.cache_folder('gs://bucket').rglob('*'))


def test_remote_names_cannot_leave_the_cache_folder(bucket, monkeypatch):
  found = {f'bucket/x/{n}': {'size': 3, 'type': 'file'} for n in ('good.png', 'a/../../b.png')}
  monkeypatch.setattr(_REGISTRY._registry['gs'], 'find', lambda *_, **__: found)
  with pytest.raises(InputError, match='^gs://bucket/x: has a file named .*; expected names with'):
    remote.fetch('gs://bucket/x')
  assert not bucket[1]


def test_concurrent_calls_download_each_file_once(bucket):
  for i in range(8):
    (bucket[0] / str(i)).write_text(str(i))
  with futures.ThreadPoolExecutor(4) as pool:
    assert len(set(pool.map(remote.fetch, ['gs://bucket'] * 4))) == 1
  assert len(bucket[1]) == 8


def test_unreadable_urls_are_errors_of_one_line(bucket, monkeypatch, tmp_path):
  (bucket[0] / 'empty').mkdir()
  monkeypatch.setitem(sys.modules, 'adlfs', None)  # Whether or not it is installed.
  missing = 'does not exist or has none of the files; expected an existing folder'
  for where, message in (
    ('gs://bucket/nothing', missing),
    ('gs://bucket/empty', missing),
    ('nonsense://x/y', r'cannot be read or copied \(Protocol not known: nonsense'),
    ('abfs://x/y', r'needs another package \(.*adlfs'),
  ):
    with pytest.raises(InputError, match=f'^{where}: {message}') as caught:
      remote.fetch(where)
    assert '\n' not in str(caught.value)
  for where in ('gs://bucket/x', str(tmp_path)):
    with pytest.raises(InputError, match=f'^{where}/a.json: does not exist; expected an existing'):
      remote.read(where, 'a.json')


def test_sources_behind_a_url_equal_local_ones(bucket, tmp_path):
  root, downloads = bucket
  for i in range(20):
    write(root / 'photos' / 'sub' / f'{i}.png', flat(i))
  (root / 'photos' / 'huge.tar').write_bytes(bytes(1000))
  near, far = (photo_sources.open_photos(f'{x}/photos', 'train') for x in (root, 'gs://bucket'))
  np.testing.assert_array_equal(np.stack(near), np.stack(far))
  assert not any('tar' in path for path in downloads)

  writing.prepare('ebb', made.MAKERS['ebb'](tmp_path / 'ebb'), root)
  near, far = (evaluation.open_records(f'tfds:{x}/ebb', 'all') for x in (root, 'gs://bucket'))
  assert [x['name'] for x in far] == [x['name'] for x in near]
  photos = photo_sources.open_photos('tfds:gs://bucket/ebb/1.0.0:train[:50%]', 'all')
  assert 0 < len(photos) < len(near)

  test_shards.prepared(root / 'scenes', count=6)
  config = scene.config(test_shards.FIELDS)
  near, far = (shards.open_scenes(x, config) for x in (f'{root}/scenes', 'gs://bucket/scenes/'))
  for one, two in zip(near, far, strict=True):
    assert_same(one, two)
