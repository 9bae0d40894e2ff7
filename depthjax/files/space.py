"""A full disk, in one line that says which."""

import contextlib
import errno
import os
from collections.abc import Iterator

from depthjax.files.errors import InputError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_WORDS = tuple(os.strerror(number) for number in _FULL)


@contextlib.contextmanager
def needed(folder: str | os.PathLike, right: str = 'free space there') -> Iterator[None]:
  """Turns a disk that is full within the block into an error that names it.

  It names the file that did not fit, which may be on another disk, such as /dev/shm; `folder` where
  the library does not say which.

  Args:
    right: reads on after 'expected'.

  Raises:
    InputError: no space, or the quota is used up, whichever library noticed.
  """
  try:
    yield
  except InputError:
    raise
  except Exception as error:
    words, file = _full(error)
    if not words:
      raise
    raise InputError(file or folder, f'cannot be written ({words})', right) from error


def _full(error: BaseException | None) -> tuple[str, str]:
  """The system's words for a full disk and the file, if an error or its cause is about that."""
  full = ''
  while error is not None:
    if isinstance(error, OSError) and error.errno in _FULL:
      # Calls on an open file have its number for a name.
      named = isinstance(error.filename, str | bytes | os.PathLike)
      return os.strerror(error.errno), os.fsdecode(error.filename) if named else ''
    # Libraries in C++ have no errno to give.
    full = full or next((words for words in _WORDS if words in str(error)), '')
    error = error.__cause__
  return full, ''
