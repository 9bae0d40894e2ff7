"""TIFF files, read by tifffile: the largest page, of any sample type, layout and compression."""

import itertools
import logging
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import COMPRESSION, PHOTOMETRIC, TiffPage

from depthjax.files.endings import RAW
from depthjax.files.errors import InputError, check_pixels, decoding, readable_file
from depthjax.files.metadata import ORIENTATION, PROFILE

# Colours of a pixel, by PhotometricInterpretation: grey (2 kinds), RGB, palette, CMYK, YCbCr.
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}
_REDUCED, _MASK = 1, 4  # Bits of the tag NewSubfileType.
_MAX_SAMPLES, _MAX_SUB_PAGES = 16, 64
_RIGHT = 'a complete TIFF file'
_log = logging.getLogger(__name__)
# Damage is reported by our own errors.
logging.getLogger('tifffile').addHandler(logging.NullHandler())
logging.getLogger('tifffile').propagate = False


class Page(NamedTuple):
  """The largest page of a file, upright."""

  values: np.ndarray  # [h w] grey, [h w 3] RGB or [h w 4] CMYK, as stored, but white is large.
  alpha: np.ndarray | None  # [h w], as stored.
  bits: int  # Of each sample.
  profile: bytes | None  # ICC profile.

  def levels(self, samples: np.ndarray) -> np.ndarray:
    """Unsigned samples of at most 16 bits as uint8 or uint16 of full range; others unchanged."""
    if samples.dtype.kind not in 'bu' or self.bits > 16 or self.bits in (8, 16):
      return samples
    dtype = np.uint8 if self.bits < 8 else np.uint16
    return np.rint(samples * (np.iinfo(dtype).max / (2**self.bits - 1))).astype(dtype)


def is_tiff(path: str | os.PathLike) -> bool:
  """Whether a file begins as a TIFF or BigTIFF file of either byte order does; errors as `read`."""
  with open(readable_file(path), 'rb') as file:
    return file.read(4) in (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')


def refuse_raw(path: str | os.PathLike, is_raw: bool = False) -> None:
  """Raises InputError for raw data of a camera, or for a file whose ending says so."""
  if is_raw or Path(path).suffix.lower() in RAW:
    right = 'a photo developed from it, as JPEG, PNG or TIFF'
    raise InputError(path, "holds the raw data of a camera's sensor", right)


def read(path: str | os.PathLike, max_pixels: int) -> Page:
  """Reads the page with most pixels, of all pages and their SubIFDs without thumbnails and masks.

  Raises InputError: a camera's raw file; a colour space other than grey, RGB, palette, CMYK and
  YCbCr; complex numbers; damaged; more than `max_pixels` pixels, checked before they are decoded.
  """
  refuse_raw(path)
  with decoding(path, _RIGHT), tifffile.TiffFile(path) as file:
    pages = _pages(file.pages)
    if not pages:
      raise InputError(path, 'is truncated: it has no page', _RIGHT)
    page = max(pages, key=lambda page: page.imagelength * page.imagewidth)
    refuse_raw(path, page.photometric in (PHOTOMETRIC.CFA, PHOTOMETRIC.LINEAR_RAW))
    _check(path, page, max_pixels)
    if len(pages) > 1:
      size = page.imagewidth, page.imagelength
      _log.warning('%s: has %d pages; one of %d x %d pixels is read', path, len(pages), *size)
    values, alpha = _samples(path, page)
    orientation = page.tags.valueof(ORIENTATION) or file.pages.first.tags.valueof(ORIENTATION)
    values, alpha = (None if x is None else upright(x, orientation) for x in (values, alpha))
    return Page(values, alpha, page.bitspersample, page.tags.valueof(PROFILE))


def _pages(pages: Iterable[TiffPage]) -> list[TiffPage]:
  """Pages and their SubIFDs; thumbnails and masks only where there is nothing else."""
  every = {}  # By offset: in damaged files the list of pages may be a circle.
  for page in pages:
    if page.offset in every:
      break
    every |= {x.offset: x for x in (page, *itertools.islice(page.pages or (), _MAX_SUB_PAGES))}
  full = [one for one in every.values() if not one.subfiletype & (_REDUCED | _MASK)]
  return full or list(every.values())


def _check(path: Path, page: TiffPage, max_pixels: int) -> None:
  """Checks a page before it is decoded."""
  check_pixels(path, page.imagelength, page.imagewidth, max_pixels)
  if page.photometric not in _COLOURS:
    name = getattr(page.photometric, 'name', page.photometric)
    raise InputError(path, f'has colours of the type {name}', 'grey, RGB, CMYK or YCbCr')
  if page.dtype is None or page.dtype.kind not in 'biuf':
    raise InputError(path, 'has complex or unknown samples', 'integers or floats')
  if page.samplesperpixel > _MAX_SAMPLES or page.imagedepth > 1:
    wrong = f'has {page.samplesperpixel} channels and {page.imagedepth} slices'
    raise InputError(path, wrong, f'one slice of at most {_MAX_SAMPLES} channels')
  # tifffile leaves pixels zero where the file ends early, has no data or lacks strips.
  segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
  complete = all(0 < n <= page.parent.filehandle.size - start for start, n in segments)
  needed = 1 if page.is_contiguous else math.prod(page.chunked)
  if not complete or len(segments) < needed or math.prod(page.chunks) > 4 * max_pixels:
    raise InputError(path, 'is truncated: strips or tiles are missing', _RIGHT)


def _samples(path: Path, page: TiffPage) -> tuple[np.ndarray, np.ndarray | None]:
  """Colours and alpha as `Page` has them, but not upright."""
  if page.photometric == PHOTOMETRIC.YCBCR and page.compression != COMPRESSION.JPEG:
    with TiffImageFile(path) as image:
      image.seek(page.index)
      if image.size == (page.imagewidth, page.imagelength):  # Not a SubIFD.
        return np.asarray(image.convert('RGB')), None
  array = page.asarray(squeeze=False)  # [samples 1 h w 1] or [1 1 h w samples].
  array = np.moveaxis(array, 0, -1)[0, :, :, 0] if array.shape[0] > 1 else array[0, 0]
  count, samples = _COLOURS[page.photometric], array.shape[-1]
  if samples < count or (count == 1 and samples > 2):
    if samples != 3:
      raise InputError(path, f'has {samples} channels', 'grey or RGB, with or without alpha')
    count = 3
  values = array[..., :count] if count > 1 else array[..., 0]
  if page.photometric == PHOTOMETRIC.PALETTE:
    table = page.colormap
    values = (table if table.max() < 256 else table >> 8).astype(np.uint8).T[values]
  elif page.photometric == PHOTOMETRIC.MINISWHITE:
    values = -values if values.dtype.kind == 'f' else ~values
    values = values & (2**page.bitspersample - 1) if values.dtype.kind == 'u' else values
  return values, array[..., count] if samples > count else None


def upright(array: np.ndarray, orientation: int | None) -> np.ndarray:
  """Applies the tag Orientation (TIFF 6.0, EXIF 2.3)."""
  if orientation in (5, 6, 7, 8):
    array = array.swapaxes(0, 1)
  rows = -1 if orientation in (3, 4, 7, 8) else 1
  columns = -1 if orientation in (2, 3, 6, 7) else 1
  return np.ascontiguousarray(array[::rows, ::columns])
