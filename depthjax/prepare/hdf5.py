"""HDF5 files, read by the optional package h5py."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from depthjax.files.errors import MAX_PIXELS, InputError, check_pixels, readable_file


@contextlib.contextmanager
def opened(path: Path, right: str) -> Iterator[Any]:
  """An h5py.File for reading; errors in the block become InputError, with `right` as expected.

  Raises InputError: h5py is not installed, or the file is not HDF5, truncated or lacks an array.
  """
  path = readable_file(path)
  try:
    import h5py
  except ImportError as error:
    wrong = 'is an HDF5 file, and the package h5py is not installed'
    raise InputError(path, wrong, "h5py: pip install 'depthjax[prepare]'") from error
  try:
    with h5py.File(path, 'r') as file:
      yield file
  except InputError:
    raise
  except Exception as error:  # h5py raises many types of errors on damaged files.
    wrong = f'cannot be read ({type(error).__name__}: {error})'
    raise InputError(path, wrong, right) from error


def read(path: Path, name: str, channels: tuple[int, ...] = ()) -> np.ndarray:
  """Reads an array of floats as float32 [h w], or [h w *channels].

  Raises InputError: as `opened`; other dimensions or type; more than MAX_PIXELS pixels.
  """
  with opened(path, f'a complete HDF5 file with an array {name!r}') as file:
    array = file[name]
    shape, kind = array.shape, array.dtype.kind
    if len(shape) < 2 or shape[2:] != channels or kind != 'f':
      wrong = f'holds {array.dtype} values of shape {list(shape)}'
      raise InputError(path, wrong, f'floats [{" ".join(map(str, ("h", "w", *channels)))}]')
    check_pixels(path, *shape[:2], MAX_PIXELS)
    return array[()].astype(np.float32)
