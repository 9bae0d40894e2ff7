"""NYU Depth v2: images with metric depth of a structured-light camera."""

import functools
from pathlib import Path

import numpy as np

from depthjax.files.errors import InputError
from depthjax.prepare import hdf5, maps
from depthjax.prepare.entries import Entry, Found, Record, folder, found, listed, paired

_MATLAB = 'nyu_depth_v2_labeled.mat'


def nyuv2(source: Path) -> Found:
  """NYU Depth v2 (Silberman et al., ECCV 2012): fields image, disparity, valid, unit ('1/m').

  Layout: `nyu_depth_v2_labeled.mat` (1,449 frames, MATLAB 7.3; the file or its folder; needs the
  optional package h5py), or `rgb/` with images and `depth/` with 16-bit PNG of the same names,
  millimetres, 0 unknown.

  Licence: none stated; research only.

  Conversion: disparity = 1 / depth. In the .mat, depth is the completed map `depths`, and `valid`
  is where `rawDepths` measured it. All frames of a scene are in one split.
  """
  file = source if source.suffix.lower() == '.mat' else source / _MATLAB
  if source == file or file.is_file():
    return Found(maps.FIELDS, _matlab_entries(file))
  photos, depths = folder(source, 'rgb'), folder(source, 'depth')
  entries = paired(listed(photos), listed(depths, ('.png',)), maps.load_millimetres)
  return found(source, maps.FIELDS, entries, 'images in rgb/, 16-bit PNG in depth/')


def _matlab_entries(path: Path) -> list[Entry]:
  with _opened(path) as file:
    count = len(file['images'])
    wrong = [name for name in ('depths', 'rawDepths') if len(file[name]) != count]
    names = [f'{i + 1:05d}' for i in range(count)]
    groups = [_text(file, i) for i in range(count)] if 'scenes' in file else names
  if wrong or not count:
    wrong = f'holds {count} images, and another number of {", ".join(wrong) or "frames"}'
    raise InputError(path, wrong, f'{_MATLAB}, complete')
  return [
    Entry(name, groups[i], functools.partial(_frame, path, i)) for i, name in enumerate(names)
  ]


def _frame(path: Path, index: int) -> Record:
  """MATLAB's arrays are h w c n; h5py shows them with reversed axes, n c w h."""
  with _opened(path) as file:
    image, values, raw = (file[name][index] for name in ('images', 'depths', 'rawDepths'))
  image = np.ascontiguousarray(np.transpose(image, (2, 1, 0)))
  return maps.of_depth(path, path, values.T, np.nan_to_num(raw.T) > 0, image)


def _opened(path: Path):
  return hdf5.opened(path, f'{_MATLAB}, complete')


def _text(file, index: int) -> str:
  """A string of a cell array: a reference to an array of UTF-16 codes."""
  return ''.join(chr(int(code)) for code in np.ravel(file[np.ravel(file['scenes'])[index]][()]))
