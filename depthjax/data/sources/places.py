"""Folders by path or by URL: what lies behind a URL is copied to this machine, once.

The readers want files that they can open: array_record knows local files and, of all kinds of
URL, gs:// alone; Pillow knows local files. So everything goes through one copy in the folder
DEPTHJAX_CACHE (else the user's cache), where each epoch is read at the speed of a disk. fsspec
opens the URLs, as it does for TFDS; its package for a kind of URL (gcsfs for gs://) is an extra.
Where the disk is too small, DEPTHJAX_CACHE=off lets array_record read shards at gs:// in place.
"""

import contextlib
import datetime
import fcntl
import hashlib
import logging
import os
import pathlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from typing import Any

import fsspec

from depthjax.files.errors import InputError

_THREADS = 8  # Files copied at a time.
_TIMES = ('mtime', 'updated', 'LastModified', 'last_modified', 'created')
_LOG = logging.getLogger(__name__)


def is_url(where: str) -> bool:
  """Whether a place is a URL, such as gs://bucket/scenes."""
  return re.match(r'[a-z][a-z0-9+.-]*://', where) is not None


def read(where: str, name: str) -> bytes:
  """A small file of a folder or URL, always as it is there.

  Raises:
    InputError: it cannot be read, or a package for that kind of URL is missing.
  """
  path = f'{where.rstrip("/")}/{name}' if is_url(where) else pathlib.Path(where, name).expanduser()
  with _refusals(path):
    try:
      with fsspec.open(path, 'rb') if is_url(where) else open(path, 'rb') as file:
        return file.read()
    except FileNotFoundError as error:
      raise InputError(path, 'does not exist', f'a folder that holds {name}') from error


def fetch(where: str, wanted: Callable[[str], bool] = lambda name: True) -> pathlib.Path:
  """A folder on this machine with the files of a folder or URL.

  A path is returned as it is. The files behind a URL are copied where that was not done before,
  under a temporary name first, and what is gone there goes here; of several processes on a machine
  one copies and the others wait.

  Args:
    wanted: which files, by their path within the folder, to copy of a URL.

  Raises:
    InputError: the URL cannot be read, it lists a file outside itself, or a package for that kind
      of URL is missing.
  """
  if not is_url(where):
    return pathlib.Path(where).expanduser()
  if _in_place():
    right = 'a folder for copies: with it off, only shards of scenes at gs:// are read'
    raise InputError(where, 'cannot be read with DEPTHJAX_CACHE=off', right)
  files, root, found = _listed(where)
  found = {name: info for name, info in found.items() if wanted(name)}
  if not found:
    raise InputError(where, 'holds no file, or none that is looked for', 'an existing folder')
  folder = copy_of(where)
  with _refusals(where, f'cannot be copied to {folder}'):
    folder.mkdir(parents=True, exist_ok=True)
    _check_within(where, folder, found)
    with _alone(folder):
      stale = [name for name, info in found.items() if _is_stale(folder / name, info)]
      _copy(where, files, root, folder, {name: found[name]['size'] or 0 for name in stale})
      for path in folder.rglob('*'):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and wanted(name) and name not in found:
          path.unlink()
  return folder


def shards(where: str, names: Sequence[str]) -> tuple[list[str], list[str]]:
  """What array_record opens for these files of a folder or URL, and which of them are missing.

  Raises:
    InputError: as `fetch`.
  """
  if where.startswith('gs://') and _in_place():
    found = _listed(where)[2]
    return [f'{where.rstrip("/")}/{name}' for name in names], [n for n in names if n not in found]
  folder = fetch(where, {*names}.__contains__)
  files = [folder / name for name in names]
  return [str(file) for file in files], [file.name for file in files if not file.is_file()]


def copy_of(url: str) -> pathlib.Path:
  """The folder of this machine that a URL's files are copied to."""
  url = url.rstrip('/')
  cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME', pathlib.Path.home() / '.cache'))
  root = pathlib.Path(os.environ.get('DEPTHJAX_CACHE') or cache / 'depthjax' / 'data')
  name = re.sub(r'[^A-Za-z0-9.]+', '-', url).strip('-')[-80:]
  return root.expanduser() / f'{name}-{hashlib.blake2b(url.encode(), digest_size=6).hexdigest()}'


def _in_place() -> bool:
  return os.environ.get('DEPTHJAX_CACHE') == 'off'


def _listed(where: str) -> tuple[Any, str, dict[str, dict[str, Any]]]:
  """The file system of a URL, the folder's path in it, and its files by their path within it."""
  with _refusals(where):
    files, root = fsspec.core.url_to_fs(where)
    try:
      found = files.find(root, detail=True)
    except FileNotFoundError as error:  # Other kinds of URL list nothing.
      raise InputError(where, 'does not exist', 'an existing folder') from error
  root = root.rstrip('/')
  return files, root, {path.removeprefix(root).strip('/'): info for path, info in found.items()}


def _check_within(where: str, folder: pathlib.Path, names: Iterable[str]) -> None:
  """Refuses names that lead out of a copy: objects of a bucket may be called anything."""
  root = folder.resolve()
  for name in names:
    if '..' in name.split('/') or not (root / name).resolve().is_relative_to(root):
      right = 'names that stay within the folder'
      raise InputError(where, f'holds a file named {name!r}, which leads out of it', right)


def _copy(where: str, files: Any, root: str, folder: pathlib.Path, sizes: dict[str, int]) -> None:
  if not sizes:
    return
  size = sum(sizes.values()) / 1e6
  _LOG.warning('copying %d files (%.1f MB) of %s to %s', len(sizes), size, where, folder)

  def copy(name: str) -> None:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f'.{secrets.token_hex(8)}')
    try:
      files.get_file(f'{root}/{name}', str(temporary))
      os.replace(temporary, target)
    finally:
      temporary.unlink(missing_ok=True)

  with futures.ThreadPoolExecutor(_THREADS) as pool:
    list(pool.map(copy, sizes))


def _is_stale(copy: pathlib.Path, info: dict[str, Any]) -> bool:
  """Whether a copy is missing, of another size, or older than what it was made from."""
  if not copy.is_file() or copy.stat().st_size != info['size']:
    return True
  time = next((info[key] for key in _TIMES if info.get(key) is not None), None)
  if isinstance(time, str):
    time = datetime.datetime.fromisoformat(time)
  if isinstance(time, datetime.datetime):
    time = time.timestamp()
  return time is not None and time > copy.stat().st_mtime


@contextlib.contextmanager
def _alone(folder: pathlib.Path) -> Iterator[None]:
  """Holds off other processes of this machine; the lock of a killed one goes with it."""
  with open(folder.with_name(f'{folder.name}.lock'), 'w', encoding='utf-8') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    yield


@contextlib.contextmanager
def _refusals(where: str | os.PathLike, wrong: str = 'cannot be read') -> Iterator[None]:
  """What fsspec and its packages refuse is bad input; each raises errors of its own kinds."""
  try:
    yield
  except InputError:
    raise
  except ImportError as error:
    right = "that package; pip install 'depthjax[cloud]' for gs://"
    raise InputError(where, f'cannot be opened ({error})', right) from error
  except Exception as error:
    reason = str(error) or type(error).__name__
    if isinstance(error, FileNotFoundError) and error.errno is None:  # It has the name alone.
      reason = f'not found: {reason}'
    right = 'a folder that can be read, and room for copies in DEPTHJAX_CACHE'
    raise InputError(where, f'{wrong} ({reason})', right) from error
