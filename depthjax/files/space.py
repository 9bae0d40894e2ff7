"""Errors of a full disk, raised by any library, as one InputError."""

import contextlib
import errno
import os
from collections.abc import Iterator

from depthjax.files.errors import InputError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_MESSAGES = tuple(os.strerror(number) for number in _FULL)


@contextlib.contextmanager
def needed(folder: str | os.PathLike, right: str) -> Iterator[None]:
  """Turns an error about a full disk, or its cause, into an InputError.

  Args:
    folder: named in the message, unless the error names a file, which may be on another disk.
    right: continues 'expected' in the message.

  Raises:
    InputError: no space left, or the quota is exceeded.
  """
  try:
    yield
  except InputError:
    raise
  except Exception as error:
    message, file = _full(error)
    if not message:
      raise
    raise InputError(file or folder, f'cannot be written ({message})', right) from error


def _full(error: BaseException | None) -> tuple[str, str]:
  """The message of the system about a full disk, and its file; empty strings for other errors."""
  message = ''
  while error is not None:
    if isinstance(error, OSError) and error.errno in _FULL:
      # The filename is a number where the call was on a file descriptor.
      named = isinstance(error.filename, str | bytes | os.PathLike)
      return os.strerror(error.errno), os.fsdecode(error.filename) if named else ''
    # Libraries in C++ pass on the message only.
    message = message or next((text for text in _MESSAGES if text in str(error)), '')
    error = error.__cause__
  return message, ''
