"""HDF5 files, read by the optional package h5py."""

from pathlib import Path

import numpy as np

from depthjax.files.errors import MAX_PIXELS, InputError, check_pixels, readable_file


def library(path: Path, kind: str):
  """The module h5py.

  Raises:
    InputError: it is not installed; the message says that `path` is `kind`, such as 'an HDF5 file'.
  """
  try:
    import h5py
  except ImportError as error:
    wrong = f'is {kind}, and the package h5py is not installed'
    right = "the optional packages: pip install 'depthjax[prepare]'"
    raise InputError(path, wrong, right) from error
  return h5py


def read(path: Path, name: str, channels: tuple[int, ...] = ()) -> np.ndarray:
  """An array of floats as float32 [h w] or [h w c], its size checked before it is read.

  Args:
    path: the file.
    name: what the array is called in it.
    channels: its dimensions beyond h and w.

  Raises:
    InputError: h5py is missing, no HDF5 file, truncated, no such array, other
      dimensions, or more than MAX_PIXELS pixels.
  """
  module = library(readable_file(path), 'an HDF5 file')
  try:
    with module.File(path, 'r') as file:
      array = file[name]
      shape, kind = array.shape, array.dtype.kind
      if len(shape) < 2 or shape[2:] != channels or kind != 'f':
        wrong = f'holds {array.dtype} values of shape {list(shape)}'
        raise InputError(path, wrong, f'floats [{" ".join(map(str, ("h", "w", *channels)))}]')
      check_pixels(path, *shape[:2], MAX_PIXELS)
      return array[()].astype(np.float32)
  except InputError:
    raise
  except Exception as error:  # HDF5 raises many kinds on broken data
    wrong = f'cannot be read ({type(error).__name__}: {error})'
    raise InputError(path, wrong, f'a complete HDF5 file with an array {name!r}') from error
