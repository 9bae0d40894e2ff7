"""Pairs of a sharp photo and the same photo with a wide aperture: EBB! and BLB."""

import functools
import json
import re
from pathlib import Path

import numpy as np

from depthjax.files import depth, exr, images
from depthjax.files.errors import MAX_PIXELS, InputError, readable_file
from depthjax.prepare import entries, maps, pictures
from depthjax.prepare.entries import Entry, Found, Record, by_stem, folder, listed

_GAMMA = 2.2
_IMAGES = (*images.EXTENSIONS, '.exr')
_MAPS = (*images.EXTENSIONS, '.npy', '.npz', '.pfm', '.exr')


def ebb(source: Path) -> Found:
  """EBB! (Ignatov et al., CVPRW 2020): fields image, target, and optionally disparity and valid.

  Layout: `original/NAME.jpg`, a photo at f/16, and `bokeh/NAME.jpg`, the same at f/1.8 (4,694
  pairs of about 1536 x 1024 in its `train/`). The dataset has no depth: you may add a folder
  `disparity/` with a map NAME for each pair from any predictor, near is large.

  Licence: research only (CC BY-NC-SA 4.0).

  Conversion: both photos as stored; disparity min-max normalised and resized to the photo, `valid`
  where the map has a value, or everywhere if it was resized.
  """
  sharp, blurred = folder(source, 'original'), folder(source, 'bokeh')
  fields, files = ('image', 'target'), None
  if (source / 'disparity').is_dir():
    fields, files = (*fields, 'disparity', 'valid'), _by_name(source / 'disparity', _MAPS)
  load = functools.partial(_load_pair, files)
  pairs = entries.paired(listed(sharp), listed(blurred), load)
  return entries.found(source, fields, pairs, 'photos in original/ and bokeh/')


def _load_pair(files: dict[str, Path] | None, sharp: Path, blurred: Path) -> Record:
  record = {'image': pictures.read_picture(sharp), 'target': pictures.read_picture(blurred)}
  pictures.check_sizes(sharp, record['image'], blurred, record['target'])
  if files is None:
    return record
  if sharp.stem not in files:
    raise InputError(sharp, 'has no map in disparity/', 'a map of the same name')
  shape = record['image'].shape[:2]
  read = depth.read_depth(files[sharp.stem], shape=shape, percentiles=(0, 100))
  valid = np.ones(shape, bool) if read.resized else read.valid  # Resizing fills missing values.
  return {**record, **pictures.masked(read.disparity[..., 0], valid)}


def blb(source: Path) -> Found:
  """BLB (Peng et al., BokehMe, CVPR 2022): image, target, disparity, valid, and blur and focus.

  Layout, as far as it is public: a folder for each of 10 scenes with `image` (all in focus),
  `bokeh_LL_FF` (blur level LL, focus FF) and `depth.exr` (far is large) or `disparity` (near is
  large); images are EXR, PNG or JPEG. One JSON file in the scene or above it has the lists
  `blur_parameters` (for each LL the blur radius in pixels per unit of disparity) and
  `focus_distances` (for each FF: a distance if the inverses of all are disparities of the scene,
  else a disparity). Without a JSON file the records have no fields blur and focus.

  Licence: none stated; synthetic (Blender).

  Conversion: one record per bokeh image, named SCENE/bokeh_LL_FF; all records of a scene are in one
  split. EXR images are linear and become clip(EXR)^(1 / 2.2), the paper's protocol, in 8 bits.
  disparity is 1 / depth, not normalised. The signed blur radius in pixels of the prepared image is
  blur * (disparity - focus).
  """
  folder(source, '.')
  folders = [path for path in sorted(source.iterdir()) if path.is_dir()]
  scenes = [path for path in folders if 'image' in _by_name(path, _IMAGES)]
  lens_files = [
    next(iter(listed(scene, ('.json',)) or listed(source, ('.json',))), None) for scene in scenes
  ]
  fields, lenses = ('image', 'target', 'disparity', 'valid'), [None] * len(scenes)
  if scenes and all(lens_files):
    fields, lenses = (*fields, 'blur', 'focus'), [_read_lens(file) for file in lens_files]
  records = [entry for pair in zip(scenes, lenses, strict=True) for entry in _scene_entries(*pair)]
  expected = 'folders of scenes with image, depth and bokeh_00_00 as EXR or PNG'
  return entries.found(source, fields, records, expected)


def _scene_entries(scene: Path, lens: tuple | None) -> list[Entry]:
  result = []
  for stem, files in by_stem(listed(scene, _IMAGES)).items():
    if match := re.fullmatch(r'bokeh_(\d+)_(\d+)', stem):
      at = int(match[1]), int(match[2])
      load = functools.partial(_load_bokeh, scene, files[0], lens, at)
      result.append(Entry(f'{scene.name}/{stem}', scene.name, entries.ambiguous(files) or load))
  missing = entries.refused(scene, 'has no bokeh_LL_FF', 'one or more')
  return result or [Entry(scene.name, scene.name, missing)]


def _load_bokeh(scene: Path, target: Path, lens: tuple | None, at: tuple[int, int]) -> Record:
  files = _by_name(scene, _MAPS)
  sharp = _by_name(scene, _IMAGES)['image']
  record = {'image': _read_image(sharp), 'target': _read_image(target)}
  pictures.check_sizes(sharp, record['image'], target, record['target'])
  file = files.get('disparity') or files.get('depth')
  if file is None:
    raise InputError(scene, 'has neither depth nor disparity', 'depth.exr')
  values = depth.read_raw(file)
  pictures.check_sizes(sharp, record['image'], file, values)
  valid = np.isfinite(values) & ((file.stem == 'disparity') | (values > 0))
  maps.check_known(file, valid)
  disparity = values if file.stem == 'disparity' else pictures.inverse(values, valid)
  record |= pictures.masked(disparity, valid)
  return record | _blur_and_focus(file, disparity[valid], lens, at) if lens else record


def _blur_and_focus(path: Path, disparity: np.ndarray, lens: tuple, at: tuple[int, int]) -> Record:
  """The fields blur and focus of level and focus number `at`."""
  blurs, focuses = lens
  if at[0] >= len(blurs) or at[1] >= len(focuses):
    wrong = f'has an image of level {at[0]} and focus {at[1]}, which its JSON file lacks'
    raise InputError(path, wrong, f'{len(blurs)} levels and {len(focuses)} focuses')
  low, high = disparity.min(), disparity.max()
  margin = 0.01 * (high - low)
  for values in (pictures.inverse(focuses, focuses > 0), focuses):
    if values.min() >= low - margin and values.max() <= high + margin:
      return {'blur': np.float32(blurs[at[0]]), 'focus': np.float32(values[at[1]])}
  wrong = f'has disparity from {low:.4g} to {high:.4g}, which does not include focus_distances'
  raise InputError(path, wrong, 'focus distances within the scene')


def _read_lens(path: Path) -> tuple[np.ndarray, np.ndarray]:
  right = 'JSON with lists of finite numbers blur_parameters and focus_distances'
  try:
    fields = json.loads(readable_file(path).read_text(encoding='utf-8'))
    lists = [np.array(fields[key], np.float32) for key in ('blur_parameters', 'focus_distances')]
    if any(x.ndim != 1 or not x.size or not np.isfinite(x).all() for x in lists):
      raise ValueError('other values')
  except (KeyError, TypeError, ValueError) as error:
    raise InputError(path, f'cannot be read ({type(error).__name__}: {error})', right) from error
  return lists[0], lists[1]


def _read_image(path: Path) -> np.ndarray:
  """An image of any format as uint8 sRGB [h w 3]; EXR is linear."""
  if path.suffix.lower() != '.exr':
    return pictures.read_picture(path)
  light = np.stack([exr.read_exr(path, MAX_PIXELS, name) for name in 'RGB'], axis=-1)
  if not np.isfinite(light).all():
    raise InputError(path, 'has values that are not finite', 'a colour image')
  return images.quantise(np.clip(light, 0, 1) ** (1 / _GAMMA))


def _by_name(path: Path, extensions: tuple[str, ...]) -> dict[str, Path]:
  """Files of a folder by name without extension, the first of each."""
  return {stem: files[0] for stem, files in by_stem(listed(path, extensions)).items()}
