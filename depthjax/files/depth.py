"""Depth and disparity maps: raw values of files, and disparity normalised to [0, 1]."""

import functools
import logging
import os
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from depthjax.files import depth_formats, depth_values, exr, tiff
from depthjax.files.atomic import replacing
from depthjax.files.depth_values import Convention
from depthjax.files.embedded import read as read_embedded
from depthjax.files.encoding import encode
from depthjax.files.errors import MAX_PIXELS, InputError, readable_file
from depthjax.files.images import checked_image, quantise, read_pixels

EXTENSIONS = ('.png', '.npy', '.pfm', '.exr', '.tif', '.tiff')
READABLE = (*EXTENSIONS, '.npz', '.jpg', '.jpeg')
ASPECT_TOLERANCE = 0.02
_FORMATS = 'a depth map as 8- or 16-bit PNG, TIFF, NPY, NPZ, PFM, EXR or grey JPEG'
# Ranges below this fraction of the largest value count as constant: float32 rounding.
_FLAT = 1e-6
_log = logging.getLogger(__name__)


class Depth(NamedTuple):
  """A normalised depth map."""

  disparity: np.ndarray  # float32 [h w 1], 0 at the farthest and 1 at the nearest valid pixel.
  raw: np.ndarray  # float32 [h w], the values of the file at its size.
  valid: np.ndarray  # bool [h w] at the size of the file; false where disparity was filled.
  resized: bool  # Whether disparity was resized from the size of the file to that of the photo.
  far: np.ndarray  # bool [h w] at the size of the file; infinitely far, or filled from such pixels.
  low: float  # Disparity in the units of the file that became 0: 1 / depth, or -x if inverted.
  high: float  # That which became 1.
  summary: str  # Convention, range, missing pixels and the like, for the user.
  convention: Convention  # Of raw.


def read_depth(
  path: str | os.PathLike,
  *,
  convention: Convention = 'disparity',
  channel: str | None = None,
  embedded: bool = False,
  max_pixels: int = MAX_PIXELS,
  **options,
) -> Depth:
  """Reads a depth map as normalised disparity: `read_raw`, then `normalise`, with their errors.

  `options` are those of `normalise`: shape, invalid, percentiles, stretch.
  If `embedded`, the file is a photo with a depth map inside, which has a convention of its own:
  `embedded.read` instead of `read_raw`.
  """
  if embedded:
    raw, convention = read_embedded(path, max_pixels=max_pixels)
  else:
    raw = read_raw(path, max_pixels=max_pixels, channel=channel)
  return normalise(raw, convention=convention, name=path, **options)


def read_raw(
  path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS, channel: str | None = None
) -> np.ndarray:
  """Reads one channel as float32 [h w], values as stored: infinite ones too, NaN where missing.

  The format is detected from the content: PNG, TIFF (its largest page) and, with a warning, JPEG
  (grey, or three equal channels; alpha is dropped), NPY, NPZ, PFM, EXR. `channel` is the name of an
  array of an NPZ file or of a channel of an EXR file; other formats have no names.

  Raises InputError: missing, truncated, another format, unequal channels, another number of
  dimensions, pickled objects, complex numbers, too many pixels, no such channel, several channels
  that may be depth, OpenEXR is not installed.
  """
  path = readable_file(path)
  with open(path, 'rb') as file:
    head = file.read(8)
  read = next((reader for magic, reader in _READERS if head.startswith(magic)), None)
  if read is None:
    raise InputError(path, 'is not a depth map that can be read', _FORMATS)
  if read in (depth_formats.read_npz, exr.read_exr):
    read = functools.partial(read, channel=channel)
  elif channel is not None:
    _log.warning('%s: has no named channels; --channel=%s is ignored', path, channel)
  values = read(path, max_pixels=max_pixels)
  values = depth_formats.one_channel(path, values)
  if head.startswith(_JPEG):
    _log.warning('%s: is a JPEG: lossy compression has changed its values', path)
  with np.errstate(over='ignore'):  # Values beyond float32 become infinite.
    return values.astype(np.float32)


def full_scale(path: str | os.PathLike) -> float | None:
  """The largest value that a PNG can have, 255 or 65535; None for other formats."""
  with open(path, 'rb') as file:
    head = file.read(25)
  if not head.startswith(b'\x89PNG'):
    return None
  return 65535.0 if head[24] == 16 else 255.0  # The bit depth in the header.


_JPEG = b'\xff\xd8\xff'
_READERS = (
  ((b'\x89PNG', _JPEG), read_pixels),
  ((b'II', b'MM'), lambda path, max_pixels: tiff.read(path, max_pixels).values),
  (b'\x93NUMPY', depth_formats.read_npy),
  (b'PK', depth_formats.read_npz),
  ((b'Pf', b'PF'), depth_formats.read_pfm),
  (b'\x76\x2f\x31\x01', exr.read_exr),
)


def normalise(
  raw: np.ndarray,
  *,
  convention: Convention = 'disparity',
  shape: tuple[int, int] | None = None,
  invalid: float | Sequence[float] | None = None,
  percentiles: tuple[float, float] | None = None,
  stretch: bool | None = None,
  name: str | os.PathLike = 'depth',
) -> Depth:
  """Converts raw values to disparity in [0, 1] at the size of the photo, without missing pixels.

  Missing pixels (NaN, `invalid`, infinite disparity, depth z <= 0) take the value of the nearest
  valid pixel. Under 'depth' and 'inverted', +inf is infinitely far, not missing, and so are depths
  above 100 times the 99th percentile of the rest if they are one plateau, or above 10,000 times.
  Then the range is determined (depth_values.used_range) and values beyond it are clipped. A map of
  another size than the photo, but of the same aspect ratio within 2 %, is resized: bilinear
  (half-pixel centres), or by area where it shrinks. The result then has the range [0, 1].

  Args:
    raw: floats [h w].
    convention: 'disparity' (near is large), 'depth' (far is large, disparity = 1 / z) or 'inverted'
      (far is large, disparity = maximum - x).
    shape: height and width of the photo; None does not resize.
    invalid: values that mark missing pixels; often 0.
    percentiles: of disparity, which become 0 and 1; (0, 100) is the exact range; default: exact,
      without outliers that more than double it.
    stretch: resize maps of any aspect ratio; None: as False, and messages do not offer it.
    name: the file, for messages.

  Raises InputError: unknown convention, no valid pixel, constant values, another aspect ratio.
  """
  if convention not in depth_values.CONVENTIONS:
    right = ' or '.join(f'{key!r} ({text})' for key, text in depth_values.CONVENTIONS.items())
    raise InputError(name, f'has the unknown convention {convention!r}', right)
  raw = np.asarray(raw, np.float32)
  resized = shape is not None and needs_resize(name, raw.shape, tuple(shape), stretch=stretch)
  found = depth_values.to_disparity(raw, convention, invalid)
  values, valid, far = found
  if not valid.any():
    right = 'at least two different valid pixels'
    raise InputError(name, f'has no valid pixel of {raw.size}', right)
  used = depth_values.used_range(values[valid], percentiles)
  values = np.clip(fill(values, valid), *used)
  if resized:
    h, w = shape
    method = cv2.INTER_AREA if h * w < raw.size else cv2.INTER_LINEAR
    values = cv2.resize(values, (w, h), interpolation=method)
  disparity = to_unit_range(values)
  if not disparity.any():
    wrong = f'is constant ({raw[valid].min():.6g} everywhere)'
    if percentiles is not None:
      wrong = f'is constant between the percentiles {percentiles[0]:g} and {percentiles[1]:g}'
    raise InputError(name, wrong, 'values that vary with depth')
  summary = depth_values.summary(raw, found, used, convention, invalid)
  if resized:
    summary += f'; resized to {w} x {h} pixels'
  return Depth(
    disparity[..., None], raw, valid, resized, fill(far, valid), *used, summary, convention
  )


def to_unit_range(values: np.ndarray) -> np.ndarray:
  """Scales values of any range to [0, 1], float32; zeros where they are constant up to rounding."""
  # In float64: a large offset leaves few digits to float32, and its range can overflow.
  values = np.asarray(values, np.float64)
  low, high = values.min(), values.max()
  if high - low <= _FLAT * max(abs(low), abs(high)):
    return np.zeros(values.shape, np.float32)
  return ((values - low) / (high - low)).astype(np.float32)


def fill(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
  """Replaces invalid pixels by the value of the nearest valid pixel.

  Floats [h w] and bool [h w], true at least once. Distances are those of a 5 x 5 chamfer mask,
  within 2 % of Euclidean (Borgefors 1986).
  """
  if valid.all() or not values.any():
    return values
  holes = (~valid).astype(np.uint8)
  _, labels = cv2.distanceTransformWithLabels(
    holes, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
  )
  by_label = np.zeros(labels.max() + 1, values.dtype)
  by_label[labels[valid]] = values[valid]
  return np.where(valid, values, by_label[labels])


def of_array(values: ArrayLike, name: str) -> np.ndarray:
  """A map [h w 1] from an array [h w] or [h w 1] of numbers; ValueError for others."""
  result = np.asarray(values)
  result = result[..., None] if result.ndim == 2 else result
  if result.ndim != 3 or result.shape[-1] != 1 or not result.size or result.dtype.kind not in 'fiu':
    wrong = f'{name} is {result.dtype} of shape {list(result.shape)}'
    raise ValueError(f'{wrong}; it must be numbers of shape [h w] or [h w 1]')
  return result


def needs_resize(
  name: str | os.PathLike,
  have: tuple[int, int],
  want: tuple[int, int],
  of: str | os.PathLike = 'the photo',
  stretch: bool | None = None,
) -> bool:
  """Whether a map of height and width `have` must be resized to `want`, the size of `of`.

  Raises InputError: their aspect ratios differ by more than 2 %, unless `stretch`; the message
  names this option unless it is None.
  """
  (h, w), (photo_h, photo_w) = have, want
  if have == want:
    return False
  if stretch or abs((w * photo_h) / (h * photo_w) - 1) <= ASPECT_TOLERANCE:
    return True
  wrong = f'is {w} x {h} pixels but {of} is {photo_w} x {photo_h} (width x height)'
  if abs((h * photo_h) / (w * photo_w) - 1) <= ASPECT_TOLERANCE:
    wrong += ', as if one of them were turned by 90 degrees'
  right = f'the size of {of}, or its aspect ratio within 2 %'
  right += '' if stretch is None else ', or --stretch'
  raise InputError(name, wrong, right)


def write_depth(path: str | os.PathLike, values: np.ndarray, channel: str = 'Y') -> None:
  """Writes a map as 16-bit PNG, or as float32 NPY, PFM, EXR or TIFF, by the extension of `path`.

  Args:
    path: the file; its folder must exist; an existing file is replaced atomically.
    values: floats [h w] or [h w 1]: in [0, 1] for PNG, which stores round(65535 x), else any, +inf
      included: a depth that is infinitely far.
    channel: of EXR files; 'Z' means distances.

  Raises InputError: another extension, a missing folder, another shape, NaN or -inf, values outside
  [0, 1] for PNG, OpenEXR is not installed.
  """
  checked_image(path, np.where(np.isposinf(values), 0, values))
  values = np.ascontiguousarray(values, np.float32)
  if values.shape[2:] == (1,):
    values = values[..., 0]
  if values.ndim != 2:
    raise InputError(path, 'would hold three channels', '[h w] or [h w 1]')
  with replacing(path, EXTENSIONS) as temporary:
    extension = temporary.suffix.lower()
    if extension == '.exr':
      exr.write_exr(temporary, path, values, channel)
    elif extension == '.npy':
      with open(temporary, 'wb') as file:
        np.save(file, values)
    elif extension == '.pfm':
      temporary.write_bytes(depth_formats.encode_pfm(values))
    elif extension in ('.tif', '.tiff'):
      temporary.write_bytes(encode(path, values))
    else:
      temporary.write_bytes(_png(path, values))


def _png(path: str | os.PathLike, values: np.ndarray) -> bytes:
  low, high = values.min(), values.max()
  if low < -_FLAT or high > 1 + _FLAT:
    right = 'values in [0, 1], or a name ending in .npy, .pfm, .exr or .tif'
    raise InputError(path, f'would hold values from {low:.6g} to {high:.6g}', right)
  return encode(path, quantise(values, bits=16))
