"""Weights from the Hugging Face Hub: a local server and cache folders in the Hub's layout."""

import hashlib
import http.server
import sys
import threading
import time

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

  def log_message(self, *_):
    pass

  def do_HEAD(self):  # noqa: N802
    self._head()

  def do_GET(self):  # noqa: N802
    if self._head():  # huggingface_hub also asks for other things.
      self.server.count += 1
      self.wfile.write(self.server.bodies.pop(0) if self.server.bodies else _DATA)
    self.close_connection = True

  def _head(self):
    path = f'/{_NAME}/resolve/{_REVISION}/model.safetensors'
    found = self.path in (path, path.replace(_REVISION, 'main'))
    self.send_response(200 if found else 404)
    self.send_header('X-Repo-Commit', _REVISION)
    self.send_header('ETag', f'"{_SHA256}"')
    self.send_header('Content-Length', str(len(_DATA) if found else 0))
    self.end_headers()
    return found


@pytest.fixture(name='cache', autouse=True)
def fixture_cache(tmp_path, monkeypatch):
  """An empty cache, and no network; returns a function that lists its files."""
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path))
  _set_endpoint(monkeypatch, 'http://127.0.0.1:1')
  monkeypatch.delenv('DEPTHJAX_OFFLINE', raising=False)
  yield lambda: {x.relative_to(tmp_path).as_posix() for x in tmp_path.rglob('*') if x.is_file()}
  huggingface_hub.close_session()


@pytest.fixture(name='server')
def fixture_server(monkeypatch):
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
  server.bodies, server.count = [], 0
  thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
  thread.start()
  _set_endpoint(monkeypatch, f'http://127.0.0.1:{server.server_port}')
  monkeypatch.setattr(time, 'sleep', lambda _: None)  # Between the tries of huggingface_hub.
  yield server
  server.shutdown()
  server.server_close()
  thread.join()


def _set_endpoint(monkeypatch, endpoint):
  monkeypatch.setattr(constants, 'ENDPOINT', endpoint)
  template = endpoint + '/{repo_id}/resolve/{revision}/{filename}'
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


@pytest.mark.parametrize('revision', [_REVISION, ''])
@pytest.mark.parametrize('sha256', [_SHA256, ''])
def test_a_file_in_the_cache_needs_no_network(tmp_path, revision, sha256):
  assert hub.cached(_NAME, revision) is None
  link = _save(tmp_path, _DATA)
  assert hub.cached(_NAME, revision) == hub.fetch(_NAME, revision, sha256) == link
  assert hub.cached(_NAME, 'f' * 40) is None and hub.cached('org/other', '') is None


@pytest.mark.parametrize('sha256', [_SHA256, ''])
def test_a_damaged_file_is_refused_until_it_is_deleted(tmp_path, server, sha256):
  file = _save(tmp_path, _CUT).resolve()
  right = f'expected {_SHA256}; delete this file'
  messages.refused(lambda: hub.fetch(_NAME, _REVISION, sha256), f'{file}: is damaged', right)
  file.unlink()
  assert hub.fetch(_NAME, _REVISION, sha256).read_bytes() == _DATA
  assert server.count == 1


def test_the_pinned_hash_counts_and_not_that_of_the_hub(tmp_path, server, cache):
  other = 'a' * 64
  words = f'{_NAME}: has another model.safetensors at {_REVISION}', f'expected {other}'
  messages.refused(lambda: hub.fetch(_NAME, _REVISION, other), *words)
  assert not cache() and server.count == 0
  link = _save(tmp_path, _DATA)
  messages.refused(lambda: hub.fetch(_NAME, _REVISION, other), link.resolve(), f'expected {other}')


@pytest.mark.parametrize('cause', ['DEPTHJAX_OFFLINE', 'HF_HUB_OFFLINE', 'Connection refused'])
def test_without_a_network_the_message_says_what_to_bring(monkeypatch, cache, cause):
  if cause == 'DEPTHJAX_OFFLINE':
    monkeypatch.setenv(cause, '1')
    monkeypatch.setattr(huggingface_hub, 'get_hf_file_metadata', None)
  else:
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', cause == 'HF_HUB_OFFLINE')
  wrong = f'{_NAME}: is not in the cache and there is no network ('
  page = f'(99 MB, https://huggingface.co/{_NAME}/tree/{_REVISION}) in a folder, and --predictor='
  right = f'expected its config.json and model.safetensors {page}'
  begin = time.monotonic()
  messages.refused(lambda: hub.fetch(_NAME, _REVISION, '', 99_140_356), wrong, cause, right)
  assert time.monotonic() - begin < 5 and not cache()


@pytest.mark.parametrize('sha256', [_SHA256, ''])
@pytest.mark.parametrize('bodies', [[], [_CUT], [_CHANGED, _CHANGED], [_CUT, _CUT, _CHANGED]])
def test_a_failed_download_is_tried_again(server, cache, sha256, bodies):
  server.bodies = list(bodies)
  path = hub.fetch(_NAME, '', sha256)
  assert path.read_bytes() == _DATA and path == hub.cached(_NAME, _REVISION)
  assert server.count == len(bodies) + 1
  assert [x for x in cache() if '/blobs/' in x] == [f'models--org--name/blobs/{_SHA256}']


def test_a_download_that_always_fails_leaves_nothing(server, cache):
  server.bodies = [_CHANGED] * 9
  words = f'{_NAME}: cannot be downloaded in 3 tries (its SHA-256 is not', 'tree/main) in a folder'
  messages.refused(lambda: hub.fetch(_NAME, '', _SHA256), *words)
  assert server.count == 3 and not any('model' in x.rpartition('/')[2] for x in cache())
  assert hub.cached(_NAME, '') is None and not [x for x in cache() if '/blobs/' in x]


def test_an_unknown_repository_is_refused(server):
  words = 'org/other: cannot be downloaded (HTTP status 404)', 'config.json and model.safetensors ('
  messages.refused(lambda: hub.fetch('org/other', '', ''), *words)
  assert server.count == 0


def test_a_missing_package_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
  words = 'needs the package huggingface_hub', "pip install 'depthjax[hub]'"
  messages.refused(lambda: hub.cached(_NAME, ''), *words)
