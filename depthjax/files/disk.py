"""Errors of a full or write-protected disk, raised by any library, as one InputError."""

import contextlib
import errno
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from depthjax.files.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT)
_ANY = (*FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EIO)


@contextlib.contextmanager
def write_errors(
  path: str | os.PathLike,
  right: str = 'a writable folder with free space',
  numbers: Collection[int] = _ANY,
) -> Iterator[None]:
  """Turns an error of the disk, or an error that it caused, into an InputError.

  Args:
    path: named in the message, unless the error names a file in another folder.
    right: continues 'expected' in the message.
    numbers: of the errors (errno); others pass.
  """
  try:
    yield
  except InputError:
    raise
  except Exception as error:
    message, file = _found(error, numbers)
    if not message:
      raise
    folder = Path(os.path.realpath(path)).parent
    name = file if file and not Path(os.path.realpath(file)).is_relative_to(folder) else path
    raise InputError(name, f'cannot be written ({message})', right) from error


def _found(error: BaseException | None, numbers: Collection[int]) -> tuple[str, str]:
  """The message of the system about the disk, and its file; empty strings for other errors."""
  messages, message = [os.strerror(number) for number in numbers], ''
  while error is not None:
    if isinstance(error, OSError) and error.errno in numbers:
      # The filename is a number where the call was on a file descriptor.
      named = isinstance(error.filename, str | bytes | os.PathLike)
      return os.strerror(error.errno), os.fsdecode(error.filename) if named else ''
    # Libraries in C++ pass on the message only.
    message = message or next((text for text in messages if text in str(error)), '')
    error = error.__cause__
  return message, ''
