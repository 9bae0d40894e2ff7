"""Atomic writes: a temporary file in the same folder, then a rename."""

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from depthjax.files import disk
from depthjax.files.errors import InputError, is_folder, status


def check_output(path: str | os.PathLike, extensions: Collection[str]) -> Path:
  """Checks that a file can be written at `path` and returns it; call it before long work starts.

  Allowed extensions are in lower case, with their dot.

  Raises InputError: as `status`; a folder, another extension, a missing or write-protected folder,
  a device.
  """
  path = Path(path)
  *most, last = extensions
  endings = f'{", ".join(most)} or {last}' if most else last
  right = f'a file name ending in {endings}'
  found = status(path)
  if is_folder(path):
    raise InputError(path, 'is a folder', right)
  if path.suffix.lower() not in extensions:
    ending = f'ends in {path.suffix!r}' if path.suffix else 'has no ending'
    raise InputError(path, ending, right)
  if not is_folder(path.parent):
    wrong = f'cannot be written: there is no folder {path.parent}'
    raise InputError(path, wrong, 'a name in an existing folder')
  if found is not None and not stat.S_ISREG(found.st_mode):
    raise InputError(path, 'is not a regular file', 'a new name or a file to replace')
  if not os.access(path.parent, os.W_OK):
    wrong = f'cannot be written: no permission in the folder {path.parent}'
    raise InputError(path, wrong, 'a name in a writable folder')
  return path


def identities(paths: Iterable[str | os.PathLike]) -> set[tuple[int, int]]:
  """Device and inode of those that exist: equal for all names of one file or folder."""
  found = [os.stat(path) for path in paths if os.path.exists(path)]
  return {(status.st_dev, status.st_ino) for status in found}


def check_not_input(path: str | os.PathLike, inputs: set[tuple[int, int]]) -> None:
  """Raises InputError if a result would replace one of the inputs, by any of its names."""
  if inputs & identities([path]):
    wrong = 'is one of the inputs, which the result would replace'
    raise InputError(path, wrong, 'another name for the result')


@contextlib.contextmanager
def replacing(path: str | os.PathLike, extensions: Collection[str]) -> Iterator[Path]:
  """Yields a temporary path in the folder of `path`; on success it is renamed to `path`.

  If the block raises, the temporary file is removed and an existing `path` is not changed.

  Raises InputError: as `check_output`; no free space or no permission.
  """
  path = check_output(path, extensions)
  # Replaces the target of a symbolic link, not the link.
  target = Path(os.path.realpath(path))
  temporary = target.with_name(f'.{secrets.token_hex(8)}{path.suffix}')
  try:
    with disk.write_errors(path):
      yield temporary
      os.replace(temporary, target)
  finally:
    temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, data: bytes, extensions: Collection[str]) -> None:
  """Writes `data` to `path` atomically; errors as `replacing`."""
  with replacing(path, extensions) as temporary:
    temporary.write_bytes(data)


def write_json(path: str | os.PathLike, value: Any) -> None:
  """Writes JSON, NaN and infinity as null, unknown types as text; errors as `replacing`."""
  plain = json.loads(json.dumps(value, default=str), parse_constant=lambda _: None)
  write_bytes(path, f'{json.dumps(plain, indent=2)}\n'.encode(), ('.json',))
