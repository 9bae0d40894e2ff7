"""Error, InputError, which every reader and writer raises, and the checks that these share."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

# Default limit on h * w: 1.2 GB as float32 RGB.
MAX_PIXELS = 100_000_000


class Error(ValueError):
  """Invalid arguments or input: one line that says what is wrong and what would be right."""


class InputError(Error):
  """Bad input: one line with the file, what is wrong and what would be right.

  `wrong` continues the path, as in 'is a folder'; `right` continues 'expected', as in 'a file'.
  """

  def __init__(self, path: str | os.PathLike, wrong: str, right: str):
    super().__init__(' '.join(f'{path}: {wrong}; expected {right}'.splitlines()))
    self.path, self.wrong, self.right = path, wrong, right

  def __reduce__(self):
    # The default calls the class with the message only, and fails in another process.
    return InputError, (self.path, self.wrong, self.right)


def readable_file(path: str | os.PathLike) -> Path:
  """Checks that `path` is a regular, readable file that is not empty, and returns it.

  Raises InputError: as `status`; missing, a folder, not a regular file, no permission, or empty.
  """
  path = Path(path)
  found = status(path)
  if found is None:
    raise InputError(path, 'does not exist', 'the name of an existing file')
  if stat.S_ISDIR(found.st_mode):
    raise InputError(path, 'is a folder', 'a file')
  if not stat.S_ISREG(found.st_mode):
    raise InputError(path, 'is not a regular file', 'a file on disk')
  if not os.access(path, os.R_OK):
    raise InputError(path, 'may not be read', 'a file with read permission')
  if found.st_size == 0:
    raise InputError(path, 'is empty (0 bytes)', 'a complete file')
  return path


def status(path: str | os.PathLike) -> os.stat_result | None:
  """Returns the status of a file or folder, or None if there is none of this name.

  Raises InputError: the name is too long or has a null byte, a loop of links, no permission.
  """
  try:
    return os.stat(path)
  except (FileNotFoundError, NotADirectoryError):
    return None
  except (OSError, ValueError) as error:
    reason = getattr(error, 'strerror', None) or error
    raise InputError(path, f'cannot be found ({reason})', 'a valid name') from error


def is_folder(path: str | os.PathLike) -> bool:
  """Whether this is a folder; errors as `status`."""
  found = status(path)
  return found is not None and stat.S_ISDIR(found.st_mode)


def check_pixels(path: str | os.PathLike, h: int, w: int, max_pixels: int) -> None:
  """Checks the size in a header, before pixels are decoded.

  Raises InputError: fewer than 1 or more than `max_pixels` pixels.
  """
  if h < 1 or w < 1:
    raise InputError(path, f'is {w} x {h} pixels (width x height)', 'at least 1 x 1 pixels')
  if h * w > max_pixels:
    wrong = f'is {w} x {h} pixels (width x height), {h * w / 1e6:,.1f} million'
    raise InputError(path, wrong, f'at most {max_pixels / 1e6:,.1f} million pixels')


@contextlib.contextmanager
def optional(path: str | os.PathLike, package: str, extra: str = 'photo') -> Iterator[None]:
  """Turns the ImportError of a package of an extra into an InputError that names both."""
  try:
    yield
  except ImportError as error:
    wrong = f'needs the package {package}, which is not installed'
    right = f"the optional packages: pip install 'depthjax[{extra}]'"
    raise InputError(path, wrong, right) from error


@contextlib.contextmanager
def decoding(path: str | os.PathLike, right: str) -> Iterator[None]:
  """Turns exceptions of a decoder, which are of many types on damaged files, into InputErrors."""
  try:
    yield
  except InputError:
    raise
  except MemoryError as error:
    wrong = 'does not fit into the memory, or is damaged'
    raise InputError(path, wrong, f'more memory, or {right}') from error
  except Exception as error:
    raise InputError(path, f'is truncated or damaged ({error})', right) from error
