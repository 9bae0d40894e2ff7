"""Pictures with the same picture of a wide aperture: EBB! and BLB."""

import functools
import json
import re
from pathlib import Path

import numpy as np

from depthjax.files import depth, depth_formats, images
from depthjax.files.errors import MAX_PIXELS, InputError, readable_file
from depthjax.prepare import pictures
from depthjax.prepare.entries import (
  Entry,
  Found,
  Record,
  by_stem,
  check_found,
  folder,
  listed,
  one_of_a_name,
  paired,
  refused,
)

_GAMMA = 2.2
_LINEAR = '.exr'
_ANY = (*images.EXTENSIONS, _LINEAR)
_MAPS = (*images.EXTENSIONS, '.npy', '.npz', '.pfm', _LINEAR)


def ebb(source: Path) -> Found:
  """EBB! (Ignatov et al., CVPRW 2020): fields image, target, and disparity and valid if there.

  Layout: `original/NAME.jpg`, a photo at f/16, and `bokeh/NAME.jpg`, the same at f/1.8 (4,694
  pairs of about 1536 x 1024 in its `train/`). The set has no depth: a folder `disparity/` with
  a map NAME beside them, of any predictor, near is large, is read where there is one.

  Licence: research only (CC BY-NC-SA 4.0).

  What becomes of it: both photos as they are; disparity min-max normalised and of the photo's
  size, `valid` where the map had a value, or everywhere where it had another size.

  Raises:
    InputError: no such folders, or nothing in them.
  """
  sharp, blurred = folder(source, 'original'), folder(source, 'bokeh')
  maps = source / 'disparity'
  with_maps = maps.is_dir()
  named = {file.stem: file for file in listed(maps, _MAPS)} if with_maps else None
  found = paired(listed(sharp), listed(blurred), functools.partial(_pair, named))
  check_found(source, found, 'photos in original/ and bokeh/')
  return Found(('image', 'target', *(('disparity', 'valid') if with_maps else ())), found)


def _pair(maps: dict[str, Path] | None, sharp: Path, blurred: Path) -> Record:
  image, target = pictures.read_picture(sharp), pictures.read_picture(blurred)
  pictures.check_sizes(sharp, image, blurred, target)
  record = {'image': image, 'target': target}
  if maps is None:
    return record
  if sharp.stem not in maps:
    raise InputError(sharp, 'has no map in disparity/', 'a map of the same name')
  read = depth.read_depth(maps[sharp.stem], shape=image.shape[:2])
  if read.resized:
    valid = np.ones(image.shape[:2], bool)  # resizing has filled what was missing
  else:
    valid = read.valid
  return {**record, **pictures.masked(read.disparity[..., 0], valid)}


def blb(source: Path) -> Found:
  """BLB (Peng et al., BokehMe, CVPR 2022): image, target, disparity, valid, and blur and focus.

  Layout, as far as it is public: a folder for each of 10 scenes with `image` (all in focus),
  `bokeh_LL_FF` (blur level LL, focus FF) and `depth.exr` (far is large) or `disparity` (near is
  large), pictures as EXR, PNG or JPEG; and one JSON file in the scene or above it, with the lists
  `blur_parameters` (per LL: radius in pixels for a unit of disparity) and `focus_distances` (per
  FF: taken as distances if their inverses are disparities of the scene, else as disparities if
  they are). Without a JSON file the records have no fields blur and focus.

  Licence: none stated; synthetic (Blender).

  What becomes of it: a record a bokeh picture, named SCENE/bokeh_LL_FF; scenes are held out as a
  whole. EXR pictures are linear: clipped(EXR)^(1/2.2), as in the paper's protocol, in 8 bits.
  disparity is 1 / depth, not normalised; the signed blur radius in pixels, of the prepared size,
  is blur * (disparity - focus).

  Raises:
    InputError: not a folder, no scene in it, or a JSON file that cannot be read.
  """
  folder(source, '.')
  scenes = [
    place for place in sorted(source.iterdir()) if place.is_dir() and _named(place, 'image')
  ]
  lenses = {scene: _lens_file(scene) for scene in scenes}
  with_lens = bool(scenes) and all(lenses.values())
  found = [entry for scene in scenes for entry in _scene(scene, lenses[scene], with_lens)]
  check_found(source, found, 'folders of scenes with image, depth and bokeh_00_00 as EXR or PNG')
  lens = ('blur', 'focus') if with_lens else ()
  return Found(('image', 'target', 'disparity', 'valid', *lens), found)


def _scene(scene: Path, lens_file: Path | None, with_lens: bool) -> list[Entry]:
  lens = _read_lens(lens_file) if with_lens else None
  result = []
  for stem, files in by_stem(listed(scene, _ANY)).items():
    match = re.fullmatch(r'bokeh_(\d+)_(\d+)', stem)
    if match:
      at = int(match[1]), int(match[2])
      load = one_of_a_name(files) or functools.partial(_bokeh, scene, files[0], lens, at)
      result.append(Entry(f'{scene.name}/{stem}', scene.name, load))
  if not result:
    result = [Entry(scene.name, scene.name, refused(scene, 'has no bokeh_LL_FF', 'one or more'))]
  return result


def _bokeh(scene: Path, target: Path, lens: tuple | None, at: tuple[int, int]) -> Record:
  sharp = _named(scene, 'image')
  record = {'image': _read_any(sharp), 'target': _read_any(target)}
  pictures.check_sizes(sharp, record['image'], target, record['target'])
  file, convention = _named(scene, 'disparity', _MAPS), 'disparity'
  if file is None:
    file, convention = _named(scene, 'depth', _MAPS), 'depth'
  if file is None:
    raise InputError(scene, 'has neither depth nor disparity', 'depth.exr')
  raw = depth.read_raw(file)
  pictures.check_sizes(sharp, record['image'], file, raw)
  valid = np.isfinite(raw) if convention == 'disparity' else raw > 0
  if not valid.any():
    raise InputError(file, 'has no valid pixel', f'a map of {convention}')
  disparity = raw if convention == 'disparity' else pictures.inverse(raw, valid)
  record |= pictures.masked(disparity, valid)
  if lens:
    record |= _lens_at(file, disparity[valid], lens, at)
  return record


def _lens_at(path: Path, disparity: np.ndarray, lens: tuple, at: tuple[int, int]) -> Record:
  """Blur and focus of a level and a focus, the latter as a disparity of the scene."""
  blurs, places = lens
  if at[0] >= len(blurs) or at[1] >= len(places):
    wrong = f'has a picture of level {at[0]} and focus {at[1]}, beyond its JSON file'
    raise InputError(path, wrong, f'{len(blurs)} levels and {len(places)} places of focus')
  low, high = disparity.min(), disparity.max()
  slack = 0.01 * (high - low)
  for values in (pictures.inverse(places, places > 0), places):
    if values.min() >= low - slack and values.max() <= high + slack:
      return {'blur': np.float32(blurs[at[0]]), 'focus': np.float32(values[at[1]])}
  wrong = f'has disparities from {low:.4g} to {high:.4g}, where none of focus_distances lie'
  raise InputError(path, wrong, 'places of focus within the scene')


def _lens_file(scene: Path) -> Path | None:
  files = listed(scene, ('.json',)) or listed(scene.parent, ('.json',))
  return files[0] if files else None


def _read_lens(path: Path) -> tuple[np.ndarray, np.ndarray]:
  right = 'JSON with lists of numbers blur_parameters and focus_distances'
  try:
    fields = json.loads(readable_file(path).read_text(encoding='utf-8'))
    lists = [np.array(fields[key], np.float32) for key in ('blur_parameters', 'focus_distances')]
  except (KeyError, TypeError, ValueError) as error:
    raise InputError(path, f'cannot be read ({type(error).__name__}: {error})', right) from error
  if any(values.ndim != 1 or not values.size or not np.isfinite(values).all() for values in lists):
    raise InputError(path, 'holds no lists of finite numbers', right)
  return lists[0], lists[1]


def _read_any(path: Path) -> np.ndarray:
  """A picture of any format as uint8 sRGB [h w 3]; EXR is linear."""
  if path.suffix.lower() != _LINEAR:
    return pictures.read_picture(path)
  light = depth_formats.read_exr(path, MAX_PIXELS)
  if light.ndim != 3 or not np.isfinite(light).all():
    raise InputError(path, 'has no channels R, G, B of finite values', 'a colour picture')
  return images.quantise(np.clip(light, 0, 1) ** (1 / _GAMMA))


def _named(place: Path, stem: str, extensions=_ANY) -> Path | None:
  return next((file for file in listed(place, extensions) if file.stem == stem), None)
