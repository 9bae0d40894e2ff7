"""Weights from the Hugging Face Hub: a local server and cache folders in the Hub's layout."""

import hashlib
import http.server
import sys
import threading
import time
from unittest import mock

import huggingface_hub
import pytest
from huggingface_hub import constants

from depthjax.files import hub
from tests import messages

_DATA = bytes(range(256)) * 40
_CUT, _CHANGED = _DATA[:-1000], bytes(len(_DATA))
_SHA256 = hashlib.sha256(_DATA).hexdigest()
_REVISION = '0123456789abcdef' * 2 + '01234567'
_NAME = 'org/name'


class _Handler(http.server.BaseHTTPRequestHandler):
  """Serves the contents of `server.bodies` in turn, then _DATA, as a file of the Hub."""

  log_message = mock.Mock()

  def do_GET(self):  # noqa: N802
    if self.do_HEAD():  # huggingface_hub also asks for other things.
      self.server.count += 1
      self.wfile.write(self.server.bodies.pop(0) if self.server.bodies else _DATA)
    self.close_connection = True

  def do_HEAD(self):  # noqa: N802
    found = self.path in [f'/{_NAME}/resolve/{x}/model.safetensors' for x in (_REVISION, 'main')]
    self.send_response(200 if found else 404)
    length = str(len(_DATA) if found else 0)
    for header in (('X-Repo-Commit', _REVISION), ('ETag', _SHA256), ('Content-Length', length)):
      self.send_header(*header)
    self.end_headers()
    return found


@pytest.fixture(name='cache', autouse=True)
def fixture_cache(tmp_path, monkeypatch):
  """An empty cache, and no network; yields a function that lists the files."""
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path))
  _set_endpoint(monkeypatch, 1)
  monkeypatch.delenv('DEPTHJAX_OFFLINE', raising=False)
  yield lambda: {x.relative_to(tmp_path).as_posix() for x in tmp_path.rglob('*') if x.is_file()}
  huggingface_hub.close_session()


@pytest.fixture(name='server')
def fixture_server(monkeypatch):
  monkeypatch.setattr(time, 'sleep', lambda _: None)  # Between the tries of huggingface_hub.
  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler) as server:
    server.bodies, server.count = [], 0
    threading.Thread(target=server.serve_forever, args=[0.01]).start()
    _set_endpoint(monkeypatch, server.server_port)
    yield server
    server.shutdown()


def _set_endpoint(monkeypatch, port):
  url = f'http://127.0.0.1:{port}'
  monkeypatch.setattr(constants, 'ENDPOINT', url)
  template = f'{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}'
  monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)


def _save(tmp_path, data, name=_SHA256):
  """Writes the file in the layout of the Hub's cache; returns its link in the snapshot."""
  folder = tmp_path / 'models--org--name'
  link = folder / 'snapshots' / _REVISION / 'model.safetensors'
  for path in (folder / 'blobs', folder / 'refs', link.parent):
    path.mkdir(parents=True)
  (folder / 'refs' / 'main').write_text(_REVISION)
  (folder / 'blobs' / name).write_bytes(data)
  link.symlink_to(folder / 'blobs' / name)
  return link


@pytest.mark.parametrize('sha256', [_SHA256, ''])
def test_a_file_in_the_cache_needs_no_network(tmp_path, sha256):
  assert hub.cached(_NAME, _REVISION) is None
  link = _save(tmp_path, _DATA)
  assert hub.cached(_NAME, _REVISION) == hub.fetch(_NAME, _REVISION, sha256) == link
  assert hub.cached(_NAME, 'f' * 40) is None and hub.cached('org/other', _REVISION) is None
  # How the cache notes that the Hub has no such file.
  note = tmp_path / 'models--org--name' / '.no_exist' / _REVISION / 'model.safetensors'
  note.parent.mkdir(parents=True)
  note.touch()
  assert hub.cached(_NAME, _REVISION) is None


@pytest.mark.parametrize('sha256', [_SHA256, ''])
def test_a_damaged_file_is_refused_until_it_is_deleted(tmp_path, monkeypatch, server, sha256):
  file = _save(tmp_path, _CUT).resolve()
  right = f'expected {_SHA256}; delete this file'
  messages.refused(lambda: hub.fetch(_NAME, _REVISION, sha256), f'{file}: is damaged', right)
  file.unlink()
  assert hub.fetch(_NAME, _REVISION, sha256).read_bytes() == _DATA and server.count == 1
  error = mock.Mock(side_effect=OSError(5, 'Input/output error'))
  monkeypatch.setattr(hashlib, 'file_digest', error)
  unread = f'{file}: cannot be read (Input/output error)'
  messages.refused(lambda: hub.fetch(_NAME, _REVISION, sha256), unread)


def test_the_pinned_hash_counts_and_not_that_of_the_hub(tmp_path, server, cache):
  other = 'a' * 64
  words = f'{_NAME}: has another model.safetensors at {_REVISION}'
  messages.refused(lambda: hub.fetch(_NAME, _REVISION, other), words, f'expected {other}')
  assert not cache() and server.count == 0
  link = _save(tmp_path, _DATA)
  messages.refused(lambda: hub.fetch(_NAME, _REVISION, other), link.resolve(), f'expected {other}')


@pytest.mark.parametrize(
  'cause', ['DEPTHJAX_OFFLINE', 'HF_HUB_OFFLINE is set', 'Connection refused']
)
def test_without_a_network_the_message_says_what_to_bring(monkeypatch, cache, cause):
  monkeypatch.setenv('DEPTHJAX_OFFLINE', str(int(cause.startswith('DEPTHJAX'))))
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', cause.startswith('HF'))
  words = (
    f'{_NAME}: is not in the cache and there is no network (',
    cause,
    'a folder, in place of the name',
  )
  right = (
    f'config.json and model.safetensors (99 MB, https://huggingface.co/{_NAME}/tree/{_REVISION})'
  )
  begin = time.monotonic()
  messages.refused(lambda: hub.fetch(_NAME, _REVISION, '', 99_140_356), *words, right)
  assert time.monotonic() - begin < 5 and not cache()


@pytest.mark.parametrize('sha256', [_SHA256, ''])
@pytest.mark.parametrize('bodies', [[], [_CUT], [_CHANGED, _CHANGED], [_CUT, _CHANGED]])
def test_a_failed_download_is_tried_again(server, cache, sha256, bodies):
  server.bodies = list(bodies)
  path = hub.fetch(_NAME, _REVISION, sha256)
  assert path.read_bytes() == _DATA and path == hub.cached(_NAME, _REVISION)
  assert server.count == len(bodies) + 1
  assert [x for x in cache() if '/blobs/' in x] == [f'models--org--name/blobs/{_SHA256}']


def test_a_download_that_always_fails_leaves_nothing(monkeypatch, server, cache):
  server.bodies = [_CHANGED] * 9
  words = f'{_NAME}: cannot be downloaded in 3 tries (its SHA-256 is not', f'tree/{_REVISION})'
  messages.refused(lambda: hub.fetch(_NAME, _REVISION, _SHA256), *words)
  assert server.count == 3 and hub.cached(_NAME, _REVISION) is None
  assert not [x for x in cache() if '/blobs/' in x or '/snapshots/' in x]
  status = 'org/other: cannot be downloaded (HTTP status 404)'
  messages.refused(lambda: hub.fetch('org/other', _REVISION, ''), status, 'config.json')
  monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
  messages.refused(
    lambda: hub.cached(_NAME, _REVISION), 'huggingface_hub', "install 'depthjax[hub]'"
  )
