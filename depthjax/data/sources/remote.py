"""Files behind a URL such as gs://bucket/scenes, copied once to a folder on this machine.

array_record, TFDS and Pillow read local files; fsspec lists and downloads the remote ones. Its own
`filecache` and `simplecache` download to the final name, where another process can read a partial
file, and don't keep the folder layout. Here a file is renamed into place once it is complete.
"""

import contextlib
import datetime
import fcntl
import hashlib
import logging
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from concurrent import futures

import fsspec

from depthjax.files.errors import InputError

_THREADS = 8  # Parallel downloads.
_TIMES = ('mtime', 'LastModified', 'last_modified', 'created')  # Keys of fsspec's file systems.


def read(where: str, name: str) -> bytes:
  """Content of one file of a folder or URL, without a local copy; errors as `fetch`."""
  location = os.path.join(os.path.expanduser(where), name)
  with _input_errors(location), fsspec.open(location, 'rb') as file:
    return file.read()


def is_url(where: str) -> bool:
  """Whether a location is a URL, such as gs://bucket/folder."""
  return re.match(r'[a-z][a-z0-9+.-]*://', where) is not None


def cache_folder(url: str) -> pathlib.Path:
  """The local folder for copies of a URL, in DEPTHJAX_CACHE or else in the user's cache."""
  default = os.path.join(os.environ.get('XDG_CACHE_HOME', '~/.cache'), 'depthjax', 'data')
  root = pathlib.Path(os.environ.get('DEPTHJAX_CACHE') or default).expanduser()
  url = url.rstrip('/')
  # The end of the URL for people; the hash keeps names short and unique.
  name = re.sub(r'[^A-Za-z0-9.]+', '-', url).strip('-')[-80:]
  return root / f'{name}-{hashlib.blake2b(url.encode(), digest_size=6).hexdigest()}'


def fetch(where: str, wanted: Callable[[str], bool] = lambda name: True) -> pathlib.Path:
  """A local folder with the files of a folder (returned as it is) or of a URL (copied).

  Copies are updated where the remote size differs or the remote time is later, and deleted where
  the remote file is gone. Of several processes on a machine, one downloads while the others wait.

  `wanted` selects the files of a URL by their paths relative to it.

  Raises InputError: the URL cannot be read, has no wanted file, or fsspec lacks a package for it.
  """
  if not is_url(where):
    return pathlib.Path(where).expanduser()
  folder = cache_folder(where)
  with _input_errors(where):
    files, root = fsspec.url_to_fs(where)
    found = {name[len(root) :].strip('/'): x for name, x in files.find(root, detail=True).items()}
    found = {name: info for name, info in found.items() if wanted(name)}
    if not found:
      raise InputError(where, 'does not exist or has none of the files', 'an existing folder')
    if unsafe := [name for name in found if '..' in name.split('/')]:
      raise InputError(where, f'has a file named {unsafe[0]!r}', "names without '..'")
    folder.mkdir(parents=True, exist_ok=True)
    with open(f'{folder}.lock', 'w', encoding='utf-8') as lock:
      fcntl.flock(lock, fcntl.LOCK_EX)  # The system releases it when the process ends.
      if stale := [name for name, info in found.items() if _is_stale(folder / name, info)]:
        message = 'copying %d files of %s to %s'
        logging.getLogger(__name__).warning(message, len(stale), where, folder)
      with futures.ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda name: _download(files, f'{root}/{name}', folder / name), stale))
      for path in folder.rglob('*'):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and wanted(name) and name not in found:
          path.unlink()
  return folder


def _download(files: fsspec.AbstractFileSystem, source: str, target: pathlib.Path) -> None:
  target.parent.mkdir(parents=True, exist_ok=True)
  part = target.with_name(f'{target.name}.part')
  try:
    files.get_file(source, str(part))
    os.replace(part, target)
  finally:
    part.unlink(missing_ok=True)


def _is_stale(copy: pathlib.Path, info: dict) -> bool:
  if not copy.is_file() or copy.stat().st_size != info['size']:
    return True
  time = next((info[key] for key in _TIMES if info.get(key) is not None), 0)
  if isinstance(time, str):
    time = datetime.datetime.fromisoformat(time)
  return (time.timestamp() if isinstance(time, datetime.datetime) else time) > copy.stat().st_mtime


@contextlib.contextmanager
def _input_errors(where: str) -> Iterator[None]:
  """Turns what fsspec and its packages raise into InputErrors of one line."""
  try:
    yield
  except InputError:
    raise
  except ImportError as error:
    right = "pip install 'depthjax[cloud]' for gs://, or the package that fsspec names"
    raise InputError(where, f'needs another package ({error})', right) from error
  except FileNotFoundError as error:
    raise InputError(where, 'does not exist', 'an existing file or folder') from error
  except Exception as error:  # Each package has its own types.
    wrong = f'cannot be read or copied ({str(error) or type(error).__name__})'
    right = 'a readable URL, and free space in DEPTHJAX_CACHE'
    raise InputError(where, wrong, right) from error
