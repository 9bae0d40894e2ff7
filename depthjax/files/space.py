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
  """Turns a disk that is full within the block into an error that names `folder`.

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
    words = _full(error)
    if not words:
      raise
    raise InputError(folder, f'cannot be written ({words})', right) from error


def _full(error: BaseException | None) -> str:
  """The system's words for a full disk, if that is what an error or its cause is about."""
  while error is not None:
    if isinstance(error, OSError) and error.errno in _FULL:
      return os.strerror(error.errno)
    for words in _WORDS:  # Libraries in C++ have no errno to give.
      if words in str(error):
        return words
    error = error.__cause__
  return ''
