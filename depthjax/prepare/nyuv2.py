"""NYU Depth v2: pictures with metric depth of a structured-light camera."""

import functools
from pathlib import Path

import numpy as np

from depthjax.files.errors import InputError, readable_file
from depthjax.prepare import hdf5, maps, pictures
from depthjax.prepare.entries import Entry, Found, Record, check_found, folder, listed, paired

_MATLAB = 'nyu_depth_v2_labeled.mat'


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
    return Found(maps.FIELDS, _matlab(readable_file(file)))
  photos, depths = folder(source, 'rgb'), folder(source, 'depth')
  found = paired(listed(photos), listed(depths, ('.png',)), _pair)
  check_found(source, found, 'pictures in rgb/, 16-bit PNG in depth/')
  return Found(maps.FIELDS, found)


def _pair(photo: Path, file: Path) -> Record:
  return maps.of_depth(photo, pictures.read_picture(photo), file, maps.read_millimetres(file))


def _matlab(path: Path) -> list[Entry]:
  library = hdf5.library(path, 'a MATLAB 7.3 file')
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
  return maps.of_depth(path, image, path, values.T, np.nan_to_num(raw.T) > 0)


def _opened(library, path: Path):
  try:
    return library.File(path, 'r')
  except OSError as error:
    wrong = f'is truncated, or no MATLAB 7.3 file ({error})'
    raise InputError(path, wrong, f'{_MATLAB}, complete') from error


def _text(file, index: int) -> str:
  """Entry of a cell array of names: a reference to an array of UTF-16 codes."""
  return ''.join(chr(int(code)) for code in np.ravel(file[np.ravel(file['scenes'])[index]][()]))
