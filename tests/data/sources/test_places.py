"""Folders by URL: copied once, whole or not at all, and read as folders are."""

import http.server
import importlib
import re
import shutil
import sys
import threading
import urllib.parse
from concurrent import futures

import numpy as np
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from depthjax.data.records import evaluation, scene
from depthjax.data.sources import photos as photo_sources
from depthjax.data.sources import places, shards
from depthjax.files.errors import InputError
from depthjax.prepare import writing
from tests.data.made import flat, write
from tests.data.sources import test_shards
from tests.prepare import made

# The package's attribute of that name is a read-only view of what is in the module.
_REGISTRY = importlib.import_module('fsspec.registry')


@pytest.fixture(name='bucket')
def fixture_bucket(tmp_path, monkeypatch):
  """A folder that gs:// leads to, as long as the test runs, and an empty cache."""
  root = tmp_path / 'cloud'

  class Cloud(DirFileSystem):
    """What gcsfs is: paths without protocol, sizes and times in its listings, none of nothing."""

    protocol = ('gs', 'gcs')
    cachable = False
    copied = []

    def __init__(self, **_):
      super().__init__(path=str(root), fs=LocalFileSystem())

    @classmethod
    def _strip_protocol(cls, path):
      return re.sub('^gc?s://', '', str(path)).rstrip('/')

    def find(self, path, **options):
      if not (root / path).exists():
        raise FileNotFoundError(path)
      return super().find(path, **options)

    def get_file(self, path, target, **options):
      self.copied.append(path)
      super().get_file(path, target, **options)

  monkeypatch.setitem(_REGISTRY._registry, 'gs', Cloud)
  monkeypatch.setenv('DEPTHJAX_CACHE', str(tmp_path / 'cache'))
  (root / 'bucket').mkdir(parents=True)
  return root / 'bucket', Cloud.copied


def test_what_is_a_url():
  assert all(map(places.is_url, ('gs://b/x', 's3://b', 'memory://x')))
  assert not any(map(places.is_url, ('/gs', 'a/b', 'tfds:x', 'tfds:gs://b/x', 'C:/x', '')))


def test_files_are_copied_once_and_anew_when_they_change(bucket, caplog):
  root, copied = bucket
  for name in ('a/1.txt', '2.txt', '3.png'):
    (root / 'x' / name).parent.mkdir(parents=True, exist_ok=True)
    (root / 'x' / name).write_text(name)

  def fetch(**options):
    copied.clear()
    folder = places.fetch('gs://bucket/x', **options)
    return folder, sorted(path.removeprefix('bucket/x/') for path in copied)

  folder, names = fetch(wanted=lambda name: name.endswith('.txt'))
  assert names == ['2.txt', 'a/1.txt'] and (folder / 'a' / '1.txt').read_text() == 'a/1.txt'
  assert 'copying 2 files (0.0 MB) of gs://bucket/x to ' in caplog.text
  assert fetch()[1] == ['3.png'] and fetch()[1] == []
  (root / 'x' / '2.txt').write_text('longer than before')
  assert fetch()[1] == ['2.txt'] and (folder / '2.txt').read_text() == 'longer than before'
  (root / 'x' / 'a/1.txt').write_text('a/2.txt')  # Of the same size, but later.
  assert fetch()[1] == ['a/1.txt'] and fetch()[1] == []
  assert places.fetch('gs://bucket/x/a') != folder == places.fetch('gs://bucket/x/')
  (root / 'x' / '2.txt').unlink()
  assert fetch()[1] == [] and not (folder / '2.txt').exists() and (folder / 'a/1.txt').exists()


def test_a_copy_that_fails_leaves_nothing(bucket, monkeypatch):
  root, _ = bucket
  (root / 'x').write_bytes(bytes(100))

  def fail(self, path, target, **_):
    with open(target, 'wb') as file:
      file.write(b'half')
    raise OSError('the line is dead')

  monkeypatch.setattr(_REGISTRY._registry['gs'], 'get_file', fail)
  with pytest.raises(InputError, match='^gs://bucket: cannot be copied to .*the line is dead'):
    places.fetch('gs://bucket')
  assert not any(path.is_file() for path in places.copy_of('gs://bucket').rglob('*'))


def test_a_file_that_goes_while_it_is_copied_is_one_line(bucket, monkeypatch):
  root, _ = bucket
  (root / 'x').write_bytes(bytes(100))

  def gone(self, path, target, **_):
    raise FileNotFoundError(path)

  monkeypatch.setattr(_REGISTRY._registry['gs'], 'get_file', gone)
  message = '^gs://bucket: cannot be copied to .*not found: bucket/x'
  with pytest.raises(InputError, match=message) as caught:
    places.fetch('gs://bucket')
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['../../../outside.png', 'a/../b.png', '..', 'link/outside.png'])
def test_names_that_lead_out_of_the_copy_are_refused(bucket, monkeypatch, tmp_path, name):
  _, copied = bucket
  info = {'name': f'bucket/x/{name}', 'size': 3, 'type': 'file'}
  found = {'bucket/x/good.png': {**info, 'name': 'bucket/x/good.png'}, info['name']: info}
  monkeypatch.setattr(_REGISTRY._registry['gs'], 'find', lambda *_, **__: found)
  monkeypatch.setattr(
    _REGISTRY._registry['gs'], 'get_file', lambda _, path, target: copied.append(path)
  )
  folder = places.copy_of('gs://bucket/x')
  folder.mkdir(parents=True)
  (folder / 'link').symlink_to(tmp_path)
  with pytest.raises(InputError, match='^gs://bucket/x: holds a file named .* leads out of it'):
    places.fetch('gs://bucket/x')
  assert not copied


def test_of_several_at_a_time_one_copies(bucket):
  root, copied = bucket
  for i in range(8):
    (root / str(i)).write_text(str(i))
  with futures.ThreadPoolExecutor(4) as pool:
    folders = set(pool.map(places.fetch, ['gs://bucket'] * 4))
  assert len(folders) == 1 and len(copied) == 8


def test_what_cannot_be_opened_is_one_line(bucket, monkeypatch, tmp_path):
  root, _ = bucket
  (root / 'empty').mkdir()
  for where, words in (
    ('gs://bucket/nothing', '^gs://bucket/nothing: does not exist; expected an existing folder$'),
    ('gs://bukket/x', '^gs://bukket/x: does not exist; expected an existing folder$'),
    ('gs://bucket/empty', '^gs://bucket/empty: holds no file'),
    ('nonsense://x/y', '^nonsense://x/y: cannot be read .Protocol not known: nonsense'),
  ):
    with pytest.raises(InputError, match=words):
      places.fetch(where)
  with pytest.raises(InputError, match='^gs://bucket/x/a.json: does not exist'):
    places.read('gs://bucket/x', 'a.json')
  with pytest.raises(InputError, match=f'^{tmp_path}/a.json: does not exist'):
    places.read(str(tmp_path), 'a.json')
  # Whether or not the package is installed here.
  monkeypatch.delitem(_REGISTRY._registry, 'gs')
  monkeypatch.setitem(sys.modules, 'gcsfs', None)
  message = r"^gs://bucket/x: cannot be opened \(.*gcsfs.*\); expected .*'depthjax\[cloud\]'"
  with pytest.raises(InputError, match=message) as caught:
    places.fetch('gs://bucket/x')
  assert '\n' not in str(caught.value)


def test_the_extra_names_the_package_that_is_asked_for():
  assert _REGISTRY.known_implementations['gs']['class'].startswith('gcsfs.')


def test_photos_and_foregrounds_behind_a_url(bucket):
  root, _ = bucket
  for i in range(20):
    write(root / 'photos' / 'sub' / f'{i}.png', flat(i))
    write(root / 'cut' / 'photos' / f'{i}.jpg', flat(9 * i))
    write(root / 'cut' / 'mattes' / f'{i}.png', flat(255, c=0))
  (root / 'photos' / 'huge.tar').write_bytes(bytes(1000))
  near = {s: photo_sources.open_photos(str(root / 'photos'), s) for s in photo_sources.SPLITS}
  far = {s: photo_sources.open_photos('gs://bucket/photos', s) for s in photo_sources.SPLITS}
  for split, photos in near.items():
    assert len(photos) == len(far[split])
    for one, two in zip(photos, far[split], strict=True):
      np.testing.assert_array_equal(one, two)
  assert not list(places.copy_of('gs://bucket/photos').rglob('*.tar'))
  cut = photo_sources.open_foregrounds('gs://bucket/cut', 'all')
  assert len(cut) == 20 and cut[0].shape == (12, 16, 4)


def test_a_prepared_dataset_behind_a_url(bucket, tmp_path):
  root, _ = bucket
  writing.prepare('ebb', made.MAKERS['ebb'](tmp_path / 'ebb'), root)
  near = evaluation.open_pairs(f'tfds:{root}/ebb', 'all')
  for where in ('tfds:gs://bucket/ebb', 'tfds:gs://bucket/ebb/1.0.0'):
    far = evaluation.open_pairs(where, 'all')
    assert [x['name'] for x in far] == [x['name'] for x in near]
    np.testing.assert_array_equal(far[3]['image'], near[3]['image'])
  part = photo_sources.open_photos('tfds:gs://bucket/ebb:train[:50%]', 'all')
  assert 0 < len(part) < len(near)
  with pytest.raises(InputError, match='^gs://bucket/none: does not exist'):
    photo_sources.open_photos('tfds:gs://bucket/none')


def _scenes(where):
  return shards.open_scenes(where, scene.config(test_shards.FIELDS))


def test_prepared_scenes_behind_a_url(bucket):
  root, copied = bucket
  near = _scenes(str(test_shards.prepared(root / 'scenes', count=6)))
  far = _scenes('gs://bucket/scenes/')
  assert len(far) == 6 and len(copied) == 3
  for one, two in zip(near, far, strict=True):
    test_shards.assert_same(one, two)
  (root / 'scenes' / 'scenes-00002-of-00003.array_record').unlink()
  with pytest.raises(InputError, match='1 of 3 shards are missing'):
    _scenes('gs://bucket/scenes')


def test_prepared_scenes_in_memory_of_another_kind_of_url(tmp_path, monkeypatch):
  monkeypatch.setenv('DEPTHJAX_CACHE', str(tmp_path / 'cache'))
  near = test_shards.prepared(tmp_path / 'scenes', count=4)
  memory = MemoryFileSystem()
  try:
    memory.put(str(near), '/bucket/scenes', recursive=True)
    far = _scenes('memory://bucket/scenes')
    test_shards.assert_same(far[3], _scenes(str(near))[3])
  finally:
    memory.rm('/bucket', recursive=True)


class _Storage(http.server.BaseHTTPRequestHandler):
  """Downloads as of Google Cloud Storage: ranges of files."""

  protocol_version = 'HTTP/1.1'
  root, asked = None, []

  def do_GET(self):  # noqa: N802
    name = urllib.parse.unquote(urllib.parse.urlparse(self.path).path).partition('/o/')[2]
    data = (self.root / name).read_bytes()
    first, last = re.fullmatch(r'bytes=(\d*)-(\d*)', self.headers['Range']).groups()
    start = int(first) if first else max(0, len(data) - int(last))
    part = data[start : int(last) + 1 if first and last else None]
    self.asked.append(name)
    self.send_response(206)
    self.send_header('Content-Range', f'bytes {start}-{start + len(part) - 1}/{len(data)}')
    self.send_header('Content-Length', str(len(part)))
    self.end_headers()
    self.wfile.write(part)

  def handle(self):
    try:
      super().handle()
    except OSError:  # array_record hangs up when it has enough.
      pass

  def log_message(self, *_):
    pass


def test_without_a_cache_shards_are_read_where_they_are(bucket, monkeypatch):
  root, copied = bucket
  near = _scenes(str(test_shards.prepared(root / 'scenes', count=6)))
  monkeypatch.setattr(_Storage, 'root', root)
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Storage)
  threading.Thread(target=server.serve_forever, daemon=True).start()
  monkeypatch.setenv('CLOUD_STORAGE_EMULATOR_ENDPOINT', f'http://127.0.0.1:{server.server_port}')
  monkeypatch.setenv('DEPTHJAX_CACHE', 'off')
  try:
    far = _scenes('gs://bucket/scenes')
    for i in (0, 5):
      test_shards.assert_same(far[i], near[i])
    assert set(_Storage.asked) == {f'scenes/scenes-0000{i}-of-00003.array_record' for i in (0, 2)}
    assert not copied
  finally:
    server.shutdown()
    server.server_close()
  shutil.rmtree(root / 'scenes')
  with pytest.raises(
    InputError, match='^gs://bucket/photos: cannot be read with DEPTHJAX_CACHE=of'
  ):
    photo_sources.open_photos('gs://bucket/photos')
