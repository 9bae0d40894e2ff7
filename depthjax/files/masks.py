"""Masks: grey pictures, cut-outs with alpha, and arrays; 1 is full scale."""

import os

import numpy as np

from depthjax.files import depth_formats, images
from depthjax.files.errors import MAX_PIXELS, readable_file


def read_mask(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
  """Reads a mask as float32 [h w 1], upright, values as `fraction` returns them.

  Formats are those of photos, grey or three equal channels, and NPY. In a picture that is not
  opaque everywhere, such as a cut-out, the mask is the alpha.

  Raises InputError: as images.read_pixels; unequal channels, another number of dimensions.
  """
  return fraction(read_stored(path, max_pixels=max_pixels))[..., None]


def read_stored(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
  """As `read_mask`, but [h w] of the type and values of the file, such as integer ids."""
  return depth_formats.one_channel(path, _layers(path, max_pixels))


def read_largest(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
  """As `read_stored`, but the largest of channels that differ: above 0 where any of them is."""
  values = _layers(path, max_pixels)
  return values.reshape(*depth_formats.frame_size(path, values.shape), -1).max(-1)


def _layers(path: str | os.PathLike, max_pixels: int) -> np.ndarray:
  """Values as stored, of one or three channels; of a cut-out its alpha."""
  path = readable_file(path)
  with open(path, 'rb') as file:
    is_array = file.read(6) == b'\x93NUMPY'
  if is_array:
    values, alpha = depth_formats.read_npy(path, max_pixels), None
  else:
    values, alpha = images.read_layers(path, max_pixels)
  if alpha is not None and fraction(alpha).min() < 1:
    return alpha
  return values


def fraction(values: np.ndarray) -> np.ndarray:
  """Values of a mask as float32: of 8 or 16 bits divided by full scale, unless all are 0 or 1."""
  values = np.asarray(values)
  is_grey = values.dtype.kind == 'u' and values.itemsize <= 2 and values.max(initial=0) > 1
  return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max if is_grey else 1)
