"""NYU Depth v2: pictures with metric depth of a structured-light camera."""

import functools
from pathlib import Path

import numpy as np

from depthjax.files import depth
from depthjax.files.errors import InputError, readable_file
from depthjax.prepare import pictures
from depthjax.prepare.entries import Entry, Found, Record, check_found, folder, listed, paired

_FIELDS = ('image', 'disparity', 'valid', 'unit')
_MATLAB = 'nyu_depth_v2_labeled.mat'
_MILLIMETRES = 1000


def nyuv2(source: Path) -> Found:
  """NYU Depth v2 (Silberman et al., ECCV 2012): fields image, disparity, valid, unit ('1/m').

  Layout: `nyu_depth_v2_labeled.mat` (1,449 frames, MATLAB 7.3; given itself or in the folder;
  reading it takes the optional package h5py), or `rgb/` with pictures and `depth/` with 16-bit
  PNG of the same names, millimetres, 0 unknown.

  Licence: none stated; research only.

  What becomes of it: disparity = 1 / depth. In the .mat, depth is the completed map `depths`, and
  `valid` is where `rawDepths` measured it; frames of one scene are held out together.

  Raises:
    InputError: no such file or folders, a broken .mat, or h5py is missing.
  """
  file = source if source.suffix.lower() == '.mat' else source / _MATLAB
  if source == file or file.is_file():
    return Found(_FIELDS, _matlab(readable_file(file)))
  photos, maps = folder(source, 'rgb'), folder(source, 'depth')
  found = paired(listed(photos), listed(maps, ('.png',)), _pair)
  check_found(source, found, 'pictures in rgb/, 16-bit PNG in depth/')
  return Found(_FIELDS, found)


def _pair(photo: Path, file: Path) -> Record:
  image, raw = pictures.read_picture(photo), depth.read_raw(file)
  pictures.check_sizes(photo, image, file, raw)
  return _record(file, image, raw / _MILLIMETRES, raw > 0)


def _matlab(path: Path) -> list[Entry]:
  library = _hdf5(path)
  with _opened(library, path) as file:
    try:
      count = len(file['images'])
      missing = [name for name in ('depths', 'rawDepths') if len(file[name]) != count]
      scenes = [_text(file, i) for i in range(count)] if 'scenes' in file else None
    except Exception as error:  # HDF5 raises many kinds on broken data
      wrong = f'cannot be read ({type(error).__name__}: {error})'
      raise InputError(path, wrong, f'{_MATLAB}, complete') from error
  if missing or not count:
    wrong = f'holds {count} images, and not as many {", ".join(missing) or "as one"}'
    raise InputError(path, wrong, f'{_MATLAB}, complete')
  names = [f'{i + 1:05d}' for i in range(count)]
  return [
    Entry(name, scenes[i] if scenes else name, functools.partial(_frame, library, path, i))
    for i, name in enumerate(names)
  ]


def _frame(library, path: Path, index: int) -> Record:
  """MATLAB's arrays are h w c n; HDF5 shows them turned round, n c w h."""
  with _opened(library, path) as file:
    try:
      image, values, raw = (file[name][index] for name in ('images', 'depths', 'rawDepths'))
    except Exception as error:  # as above
      wrong = f'frame {index + 1} cannot be read ({type(error).__name__}: {error})'
      raise InputError(path, wrong, 'a complete file') from error
  image = np.ascontiguousarray(np.transpose(image, (2, 1, 0)))
  measured = (np.nan_to_num(raw.T) > 0) & (values.T > 0)
  pictures.check_sizes(path, image, path, measured)
  return _record(path, image, values.T, measured)


def _record(path: Path, image: np.ndarray, metres: np.ndarray, valid: np.ndarray) -> Record:
  if not valid.any():
    raise InputError(path, 'has no valid pixel', 'depth')
  disparity = pictures.inverse(metres.astype(np.float32), valid)
  return {'image': image, **pictures.masked(disparity, valid), 'unit': '1/m'}


def _opened(library, path: Path):
  try:
    return library.File(path, 'r')
  except OSError as error:
    wrong = f'is truncated, or no MATLAB 7.3 file ({error})'
    raise InputError(path, wrong, f'{_MATLAB}, complete') from error


def _text(file, index: int) -> str:
  """Entry of a cell array of names: a reference to an array of UTF-16 codes."""
  return ''.join(chr(int(code)) for code in np.ravel(file[np.ravel(file['scenes'])[index]][()]))


def _hdf5(path: Path):
  try:
    import h5py
  except ImportError as error:
    wrong = 'is a MATLAB 7.3 file, and the package h5py is not installed'
    raise InputError(
      path, wrong, "the optional packages: pip install 'depthjax[prepare]'"
    ) from error
  return h5py
