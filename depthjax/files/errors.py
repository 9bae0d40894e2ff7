"""The one error that bad files raise, and the checks that all readers share."""

import os
from pathlib import Path

# Beyond this a photo does not fit the memory of most machines as float32 (1.2 GB).
MAX_PIXELS = 100_000_000


class InputError(ValueError):
  """Bad input: one line naming the file, what is wrong with it and what would be right.

  Attributes:
    path: the file.
    wrong: reads on after the path, such as 'is a folder'.
    right: reads on after 'expected', such as 'a file'.
  """

  def __init__(self, path: str | os.PathLike, wrong: str, right: str):
    super().__init__(' '.join(f'{path}: {wrong}; expected {right}'.splitlines()))
    self.path, self.wrong, self.right = path, wrong, right

  def __reduce__(self):
    # The default rebuilds from the message alone: it would fail on the way out of a worker.
    return InputError, (self.path, self.wrong, self.right)


def readable_file(path: str | os.PathLike) -> Path:
  """Returns `path` once it is known to be a regular, readable file that is not empty.

  Raises:
    InputError: missing, a folder, not a regular file, without permission, or empty.
  """
  path = Path(path)
  if path.is_dir():
    raise InputError(path, 'is a folder', 'a file')
  if not path.exists():
    raise InputError(path, 'does not exist', 'the name of an existing file')
  if not path.is_file():
    raise InputError(path, 'is not a regular file', 'a file on disk')
  if not os.access(path, os.R_OK):
    raise InputError(path, 'may not be read', 'a file with read permission')
  if path.stat().st_size == 0:
    raise InputError(path, 'is empty (0 bytes)', 'a complete file')
  return path


def check_pixels(path: str | os.PathLike, h: int, w: int, max_pixels: int) -> None:
  """Refuses absurd dimensions; called with what the header says, before anything is decoded.

  Raises:
    InputError: fewer than 1 or more than `max_pixels` pixels.
  """
  if h < 1 or w < 1:
    raise InputError(path, f'is {w} x {h} pixels (width x height)', 'at least 1 x 1 pixels')
  if h * w > max_pixels:
    raise InputError(
      path,
      f'is {w} x {h} pixels (width x height), {h * w / 1e6:,.1f} million',
      f'at most {max_pixels / 1e6:,.1f} million pixels',
    )
