"""Errors of a full or write-protected disk as one-line messages."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from depthjax.files.errors import InputError

_REASONS = [
  os.strerror(number)
  for number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)
]


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
  """Raises InputError if the block cannot write `path`; other errors pass.

  array_record reports errors of the system in the text of a RuntimeError.
  """
  try:
    yield
  except (OSError, RuntimeError) as error:
    reason = next((reason for reason in _REASONS if reason in str(error)), None)
    if reason is None:
      raise
    right = 'a writable folder with free space'
    raise InputError(path, f'cannot be written ({reason})', right) from error
