"""Output that is either complete or not there: write under a temporary name, then rename."""

import contextlib
import errno
import os
import secrets
from collections.abc import Collection, Iterator
from pathlib import Path

from depthjax.files.errors import InputError

_NOT_WRITABLE = {
  errno.EACCES,
  errno.EPERM,
  errno.EROFS,
  errno.ENOSPC,
  errno.EDQUOT,
  errno.ENAMETOOLONG,
}


def check_output(path: str | os.PathLike, extensions: Collection[str]) -> Path:
  """Returns `path` once a file can be written there; call it before long work starts.

  Args:
    path: the file to be written; an existing file will be replaced.
    extensions: the allowed endings with their dot, in lower case.

  Raises:
    InputError: a folder, another ending, a missing or write-protected folder, a device.
  """
  path = Path(path)
  if path.is_dir():
    raise InputError(path, 'is a folder', f'a file name ending in {_listed(extensions)}')
  if path.suffix.lower() not in extensions:
    ending = f'ends in {path.suffix!r}' if path.suffix else 'has no ending'
    raise InputError(path, ending, f'a file name ending in {_listed(extensions)}')
  if not path.parent.is_dir():
    wrong = f'cannot be written: there is no folder {path.parent}'
    raise InputError(path, wrong, 'a name in an existing folder')
  if path.exists() and not path.is_file():
    raise InputError(path, 'is not a regular file', 'a new name or a file to replace')
  if not os.access(path.parent, os.W_OK):
    wrong = f'cannot be written: no permission in the folder {path.parent}'
    raise InputError(path, wrong, 'a name in a writable folder')
  return path


@contextlib.contextmanager
def replacing(path: str | os.PathLike, extensions: Collection[str]) -> Iterator[Path]:
  """Yields a temporary path beside `path`, which becomes `path` if the block ends well.

  Whatever interrupts the block (an error, Ctrl-C), the temporary file goes and an earlier `path`
  stays as it was.

  Raises:
    InputError: as `check_output`; a full disk or one without permission.
  """
  path = check_output(path, extensions)
  # Through a symbolic link the file it points to is replaced, not the link.
  target = Path(os.path.realpath(path))
  temporary = target.with_name(f'.{secrets.token_hex(8)}{path.suffix}')
  try:
    yield temporary
    os.replace(temporary, target)
  except OSError as error:
    if error.errno not in _NOT_WRITABLE:
      raise
    wrong = f'cannot be written ({error.strerror})'
    raise InputError(path, wrong, 'a writable folder with free space') from error
  finally:
    temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, data: bytes, extensions: Collection[str]) -> None:
  """Writes `data` as the whole content of `path`; errors as `replacing`."""
  with replacing(path, extensions) as temporary:
    temporary.write_bytes(data)


def _listed(extensions: Collection[str]) -> str:
  *first, last = extensions
  return f'{", ".join(first)} or {last}' if first else last
