"""Middlebury stereo, 2001 to 2021, as pictures with dense disparity."""

import functools
import math
import re
from pathlib import Path

import numpy as np

from depthjax.files import depth, depth_formats, images
from depthjax.files.errors import InputError, readable_file
from depthjax.prepare import maps, pictures
from depthjax.prepare.entries import Entry, Found, Record, check_found, folder, listed, refused
from depthjax.prepare.layouts import matched

# A reference view, and what its disparity map may be called.
_VIEWS = (
  ('im0', ('disp0GT', 'disp0')),
  ('view1', ('disp1',)),
  ('im2', ('disp2',)),
  ('left', ('disp',)),
)
_PNM = ('.ppm', '.pgm')
_FLOATS = ('.pfm', '.npy', '.npz')
# Levels a pixel of disparity in 8-bit maps, by the height of the picture: 2003 (full, half and
# quarter size), 2005 and 2006 (full, half and third size), and 2001 with Tsukuba's own.
_LEVELS = {1500: 1, 750: 2, 375: 4, 1110: 1, 555: 2, 370: 3, 288: 16}
_LEVELS |= dict.fromkeys((216, 380, 381, 383), 8)


def middlebury(source: Path) -> Found:
  """Middlebury stereo (2001 to 2014), left views: fields image, disparity, valid, unit.

  Layout: folders of scenes at any depth, each with a left view and its disparity: `im0.png` and
  `disp0.pfm` (or disp0GT.pfm) with `calib.txt` (2014), `view1.png` and `disp1.png` (2005, 2006),
  `im2` and `disp2` (2001, 2003; PNG, PPM or PGM), or `left` and `disp`. In 8-bit maps 0 is
  unknown and the scale is that of the year, by the picture's height; in PFM and NPZ the unit is
  the pixel and what is not finite is unknown. Folders `Illum*` (other lights) are not read.

  Licence: none stated; research, with citation.

  What becomes of it: with a calibration, disparity = (d + doffs) / (focal length x baseline), in
  1/m; without, d in pixels (unit 'px'), which is inverse depth but for a scale and an offset.

  Raises:
    InputError: not a folder, or no scene in it.
  """
  folder(source, '.')
  places = [source, *(place for place in sorted(source.rglob('*')) if place.is_dir())]
  found = [
    entry
    for place in places
    if not any(part.startswith(('Illum', '.')) for part in place.relative_to(source).parts)
    for entry in _scene(source, place)
  ]
  check_found(source, found, 'folders with im0.png and disp0.pfm, or view1.png and disp1.png')
  return Found(maps.FIELDS, found)


def middlebury2014(source: Path) -> Found:
  """Middlebury stereo of 2014, both views: fields image, disparity, valid, unit ('1/m'), pfm_scale.

  Layout: folders of scenes at any depth, such as `Adirondack-perfect`, each with two views
  `im0.png` and `im1.png`, their disparity in pixels `disp0.pfm` and `disp1.pfm`, and `calib.txt`.
  The benchmark's training sets, which have `disp0GT.pfm` alone, are for the reader middlebury.

  Licence: none stated; research, with citation.

  What becomes of it: as with middlebury2021; a scene's folders `-perfect` and `-imperfect` are held
  out together.

  Raises:
    InputError: not a folder, or no scene in it.
  """
  return _both_views(source)


def middlebury2021(source: Path) -> Found:
  """Middlebury stereo of 2021, both views: fields image, disparity, valid, unit ('1/m'), pfm_scale.

  Layout: folders of scenes at any depth, such as `artroom1` (24 of 1920 x 1080), each with two
  views `im0.png` and `im1.png`, their disparity in pixels `disp0.pfm` and `disp1.pfm`, and
  `calib.txt`. Folders `ambient/` (other lights) are not read.

  Licence: none stated; research, with citation.

  What becomes of it: a record a view; disparity = (d + doffs) / (focal length x baseline), valid
  where d is finite and positive. The size of the scale in the header of the PFM changes nothing, as
  the format's page says; it is kept as pfm_scale, since published numbers count depth in units of
  1 / pfm_scale millimetres. Scenes of one name but for its number, such as artroom1 and artroom2,
  are held out together.

  Raises:
    InputError: not a folder, or no scene in it.
  """
  return _both_views(source)


def _both_views(source: Path) -> Found:
  rules = [(f'{{scene}}/im{i}.png', f'{{scene}}/disp{i}.pfm', '{scene}/calib.txt') for i in (0, 1)]
  return Found((*maps.FIELDS, 'pfm_scale'), matched(source, rules, _read_calibrated, _room))


def _room(scene: str) -> str:
  return re.sub(r'\d+$', '', re.sub(r'-(im)?perfect$', '', scene))


def _read_calibrated(view: Path, file: Path, calibration: Path) -> Record:
  image, values = pictures.read_picture(view), depth.read_raw(file)
  metric = _metric(values, calibration)
  record = maps.of_disparity(view, image, file, metric, (values > 0) & (metric > 0))
  scale = np.float32(depth_formats.pfm_scale(file))
  return {**record, 'unit': '1/m', 'pfm_scale': scale}


def _scene(source: Path, place: Path) -> list[Entry]:
  """The entry of a folder, or none where it is no scene."""
  name = place.relative_to(source).as_posix() if place != source else place.resolve().name
  group = re.sub(r'-(im)?perfect$', '', place.resolve().name)
  pictured = {file.stem: file for file in listed(place, (*images.EXTENSIONS, *_PNM))}
  mapped = pictured | {file.stem: file for file in listed(place, _FLOATS)}
  for view, options in _VIEWS:
    maps = [mapped[option] for option in options if option in mapped]
    if view in pictured and maps:
      load = functools.partial(_read, pictured[view], maps[0], place / 'calib.txt')
      return [Entry(name, group, load)]
  for view, options in _VIEWS:
    missing = view not in pictured and [option for option in options if option in mapped]
    if missing or view in pictured:
      right = f'{view} with {" or ".join(options)}'
      return [Entry(name, group, refused(place, 'has no pair of view and disparity', right))]
  return []


def _read(view: Path, file: Path, calibration: Path) -> Record:
  image = pictures.read_picture(view)
  if file.suffix.lower() in _FLOATS:
    values = depth.read_raw(file)
    valid = np.isfinite(values)
  else:
    levels = _levels(file)
    pictures.check_sizes(view, image, file, levels)
    values, valid = levels / _scale(file, levels), levels > 0
  pictures.check_sizes(view, image, file, values)
  if not valid.any():
    raise InputError(file, 'has no valid pixel', 'disparity')
  unit = 'px'
  if calibration.is_file():
    values, unit = _metric(values, calibration), '1/m'
  return {'image': image, **pictures.masked(values, valid), 'unit': unit}


def _metric(values: np.ndarray, calibration: Path) -> np.ndarray:
  """Disparity in 1/m of one in pixels."""
  focal, baseline, offset = _calibration(calibration)
  return (values + offset) / (focal * baseline)


def _levels(file: Path) -> np.ndarray:
  values = images.read_pixels(file)
  return values.max(axis=-1) if values.ndim == 3 else values


def _scale(file: Path, levels: np.ndarray) -> int:
  height = levels.shape[0]
  if levels.dtype != np.uint8 or height not in _LEVELS:
    wrong = f'is a map of {levels.dtype} and height {height} whose scale is not known'
    heights = ', '.join(map(str, sorted(_LEVELS)))
    raise InputError(file, wrong, f'8 bits and a published height ({heights}), or PFM')
  return _LEVELS[height]


def _calibration(path: Path) -> tuple[float, float, float]:
  """Focal length in pixels, baseline in metres, offset of the principal points in pixels."""
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
    raise InputError(path, 'has a focal length or baseline of no use', 'positive numbers')
  return focal, baseline / 1000, offset
