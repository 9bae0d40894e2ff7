"""Middlebury stereo, 2001 to 2021: images with dense disparity."""

import functools
import math
import re
from pathlib import Path

import numpy as np

from depthjax.files import depth, depth_formats, images
from depthjax.files.errors import InputError, readable_file
from depthjax.prepare import maps, pictures
from depthjax.prepare.entries import Entry, Found, Record, folder, found, listed, refused
from depthjax.prepare.layouts import matched

# Reference views, and names of their disparity maps.
_VIEWS = (
  ('im0', ('disp0GT', 'disp0')),
  ('view1', ('disp1',)),
  ('im2', ('disp2',)),
  ('left', ('disp',)),
)
_FLOATS = ('.pfm', '.npy', '.npz')
# Levels per pixel of disparity in 8-bit maps, by the height of the image: 2003 (full, half and
# quarter size), 2005 and 2006 (full, half and third size), and 2001, where Tsukuba is 288 high.
_LEVELS = {1500: 1, 750: 2, 375: 4, 1110: 1, 555: 2, 370: 3, 288: 16}
_LEVELS |= dict.fromkeys((216, 380, 381, 383), 8)


def middlebury(source: Path) -> Found:
  """Middlebury stereo (2001 to 2014), left views: fields image, disparity, valid, unit.

  Layout: folders of scenes at any depth, each with a left view and its disparity: `im0.png` and
  `disp0.pfm` (or disp0GT.pfm) with `calib.txt` (2014), `view1.png` and `disp1.png` (2005, 2006),
  `im2` and `disp2` (2001, 2003; PNG, PPM or PGM), or `left` and `disp`. In 8-bit maps 0 is
  unknown, and the image's height gives the year's scale; PFM and NPZ are in pixels, unknown where
  not finite. Folders `Illum*` (other lights) are not read.

  Licence: none stated; research, with citation.

  Conversion: with a calibration, disparity = (d + doffs) / (focal length x baseline), in 1/m;
  without, d in pixels (unit 'px'), which is inverse depth with an unknown scale and offset.
  """
  folder(source, '.')
  entries = []
  for path in (source, *sorted(source.rglob('*'))):
    hidden = any(part.startswith(('Illum', '.')) for part in path.relative_to(source).parts)
    if path.is_dir() and not hidden:
      entries += _scene_entries(source, path)
  expected = 'folders with im0.png and disp0.pfm, or view1.png and disp1.png'
  return found(source, maps.FIELDS, entries, expected)


def middlebury2014(source: Path) -> Found:
  """Middlebury stereo of 2014, both views: fields image, disparity, valid, unit ('1/m'), pfm_scale.

  Layout: folders of scenes at any depth, such as `Adirondack-perfect`, each with two views
  `im0.png` and `im1.png`, their disparity in pixels `disp0.pfm` and `disp1.pfm`, and `calib.txt`.
  For the benchmark's training sets, which have only `disp0GT.pfm`, use middlebury.

  Licence: none stated; research, with citation.

  Conversion: as with middlebury2021; `-perfect` and `-imperfect` of a scene are in one split.
  """
  return _both_views(source)


def middlebury2021(source: Path) -> Found:
  """Middlebury stereo of 2021, both views: fields image, disparity, valid, unit ('1/m'), pfm_scale.

  Layout: folders of scenes at any depth, such as `artroom1` (24 of 1920 x 1080), each with two
  views `im0.png` and `im1.png`, their disparity in pixels `disp0.pfm` and `disp1.pfm`, and
  `calib.txt`. Folders `ambient/` (other lights) are not read.

  Licence: none stated; research, with citation.

  Conversion: one record per view; disparity = (d + doffs) / (focal length x baseline), valid where
  d is finite and positive. The scale in the header of the PFM is not applied, as the format
  specifies; it is stored as pfm_scale, since published numbers measure depth in units of
  1 / pfm_scale millimetres. Scenes whose names differ only in their number, such as artroom1 and
  artroom2, are in one split.
  """
  return _both_views(source)


def _both_views(source: Path) -> Found:
  rules = [(f'{{scene}}/im{i}.png', f'{{scene}}/disp{i}.pfm', '{scene}/calib.txt') for i in (0, 1)]
  group = lambda scene: re.sub(r'\d+$', '', _without_suffix(scene))  # noqa: E731
  return matched(source, rules, _load_calibrated, group, (*maps.FIELDS, 'pfm_scale'))


def _without_suffix(scene: str) -> str:
  return re.sub(r'-(im)?perfect$', '', scene)


def _load_calibrated(view: Path, file: Path, calibration: Path) -> Record:
  values = depth.read_raw(file)
  metric = _metric(values, calibration)
  record = maps.of_disparity(view, file, metric, (values > 0) & (metric > 0), '1/m')
  return {**record, 'pfm_scale': np.float32(depth_formats.pfm_scale(file))}


def _scene_entries(source: Path, path: Path) -> list[Entry]:
  """The entry of a folder; none if it is not a scene."""
  name = path.relative_to(source).as_posix() if path != source else path.resolve().name
  views = {file.stem: file for file in listed(path, (*images.EXTENSIONS, '.ppm', '.pgm'))}
  files = views | {file.stem: file for file in listed(path, _FLOATS)}
  load = None
  for view, options in _VIEWS:
    disparity = next((files[option] for option in options if option in files), None)
    if view in views and disparity:
      load = functools.partial(_load, views[view], disparity, path / 'calib.txt')
      break
    if load is None and (view in views or disparity):
      right = f'{view} with {" or ".join(options)}'
      load = refused(path, 'has no pair of view and disparity', right)
  return [Entry(name, _without_suffix(path.resolve().name), load)] if load else []


def _load(view: Path, file: Path, calibration: Path) -> Record:
  image = pictures.read_picture(view)
  if file.suffix.lower() in _FLOATS:
    values = depth.read_raw(file)
    valid = np.isfinite(values)
  else:
    levels = images.read_pixels(file)
    levels = levels.max(axis=-1) if levels.ndim == 3 else levels
    pictures.check_sizes(view, image, file, levels)
    values, valid = levels / _levels_per_pixel(file, levels), levels > 0
  unit = 'px'
  if calibration.is_file():
    values, unit = _metric(values, calibration), '1/m'
  return maps.of_disparity(view, file, values, valid, unit, image)


def _metric(values: np.ndarray, calibration: Path) -> np.ndarray:
  """Converts disparity from pixels to 1/m."""
  focal, baseline, offset = _calibration(calibration)
  return (values + offset) / (focal * baseline)


def _levels_per_pixel(file: Path, levels: np.ndarray) -> int:
  height = levels.shape[0]
  if levels.dtype != np.uint8 or height not in _LEVELS:
    wrong = f'is a map of {levels.dtype} and height {height} with an unknown scale'
    heights = ', '.join(map(str, sorted(_LEVELS)))
    raise InputError(file, wrong, f'8 bits and a published height ({heights}), or PFM')
  return _LEVELS[height]


def _calibration(path: Path) -> tuple[float, float, float]:
  """Focal length in pixels, baseline in metres, and doffs in pixels."""
  text = readable_file(path).read_text(encoding='utf-8', errors='replace')
  number = r'([-+0-9.eE]+)'
  found = [
    re.search(pattern + number, text, re.MULTILINE)
    for pattern in (r'^cam0\s*=\s*\[\s*', r'^baseline\s*=\s*', r'^doffs\s*=\s*')
  ]
  try:
    focal, baseline, offset = (float(match[1]) for match in found)
  except (TypeError, ValueError) as error:
    raise InputError(
      path, 'has no cam0, baseline and doffs', 'a calibration of 2014 or 2021'
    ) from error
  if not (focal > 0 and baseline > 0 and math.isfinite(focal * baseline + offset)):
    raise InputError(path, 'has an invalid focal length or baseline', 'positive numbers')
  return focal, baseline / 1000, offset
