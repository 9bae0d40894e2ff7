"""Transparent and mirror surfaces (ToM): Booster and ClearGrasp, Trans10K and MSD."""

import functools
import math
from pathlib import Path

import cv2
import numpy as np

from depthjax.files import depth, masks
from depthjax.files.errors import InputError, readable_file
from depthjax.prepare import maps, pictures
from depthjax.prepare.entries import Entry, Found, Record, folder, found
from depthjax.prepare.layouts import matched

_FIELDS = (*maps.FIELDS, 'tom')


def booster(source: Path) -> Found:
  """Booster (Zama Ramirez et al., 2022), left views: image, disparity, valid, unit ('1/m'), tom.

  Layout (unverified): folders of scenes at any depth, such as `train/balanced/SCENE`, each with
  `camera_00/im*.png`, photos of 4112 x 3008 under several lights; `disp_00.npy`, their disparity in
  pixels, 0 unknown; `mask_cat.png`, the class of the material, 0 to 3; `calib_00-02.xml`, with the
  matrix `proj_matL`, whose first number is the focal length in pixels, and `baselineLR` in
  millimetres.

  Licence: own terms, research (unverified).

  Conversion: disparity = d / (focal length x baseline), in 1/m. `tom` is 255 on transparent and
  mirror surfaces, classes 2 and 3, else 0. One record per photo; all photos of a scene are in one
  split.
  """
  folder(source, '.')
  entries = []
  for photo in source.rglob('camera_00/im*.png'):
    name = photo.relative_to(source).with_suffix('').as_posix()
    scene = photo.parent.parent
    entries.append(Entry(name, scene.resolve().name, functools.partial(_load, photo, scene)))
  entries.sort(key=lambda entry: entry.name)
  return found(source, _FIELDS, entries, 'folders SCENE/camera_00/ with im*.png')


def cleargrasp(source: Path) -> Found:
  """ClearGrasp (Sajjan et al., 2020), real photos: image, disparity, valid, unit ('1/m'), tom.

  Layout: in any folders `NAME-transparent-rgb-img.jpg`, the photo; `NAME-opaque-depth-img.exr`,
  depth in metres of the same objects, sprayed, 0 unknown; and `NAME-mask.png`. The depth of the
  sensor on the transparent objects, `NAME-transparent-depth-img.exr`, is not read.

  Licence: own terms, research (unverified).

  Conversion: disparity = 1 / depth. `tom` is 255 where the mask is above 0.
  """
  rule = '{name}-transparent-rgb-img.jpg', '{name}-opaque-depth-img.exr', '{name}-mask.png'
  return matched(source, [rule], _load_sprayed, fields=_FIELDS)


def masked(source: Path) -> Found:
  """Trans10K (Xie et al., ECCV 2020) or MSD (Yang et al., ICCV 2019): fields image and mask.

  Layout: in any folders, such as `train/`, `validation/` and `test/easy/`, `images/NAME.jpg` and
  `masks/NAME_mask.png` or `masks/NAME.png`; or `image/` and `mask/`. If one mask is named
  NAME_mask, all must be. All photos are split by a hash of their names.

  Licence: own terms, research (unverified).

  Conversion: masks, of transparent objects or of mirrors, are 255 where any channel is above 0.
  """
  ending = '_mask' if next(source.rglob('*_mask.png'), None) else ''
  rules = [(f'image{s}/{{name}}.jpg', f'mask{s}/{{name}}{ending}.png') for s in ('', 's')]
  return matched(source, rules, _load_masked, fields=('image', 'mask'))


def _load_masked(photo: Path, file: Path) -> Record:
  record = {'image': pictures.read_picture(photo)}
  return _marked(record, 'mask', photo, file, masks.read_largest(file) > 0)


def _load_sprayed(photo: Path, file: Path, mask: Path) -> Record:
  record = maps.load_depth(photo, file)
  return _marked(record, 'tom', photo, mask, masks.read_largest(mask) > 0)


def _load(photo: Path, scene: Path) -> Record:
  """The record of a photo of Booster."""
  file, mask = scene / 'disp_00.npy', scene / 'mask_cat.png'
  pixels, category = depth.read_raw(file), depth.read_raw(mask)
  if not np.isin(category, range(4)).all():
    raise InputError(mask, f'holds values up to {category.max():g}', 'classes of material, 0 to 3')
  metric = pixels / _focal_baseline(scene / 'calib_00-02.xml')
  record = maps.of_disparity(photo, file, metric, pixels > 0, '1/m')
  return _marked(record, 'tom', photo, mask, category >= 2)


def _marked(record: Record, field: str, photo: Path, file: Path, mask: np.ndarray) -> Record:
  """The record with a mask, bool [h w]."""
  pictures.check_sizes(photo, record['image'], file, mask)
  return {**record, field: np.where(mask, 255, 0).astype(np.uint8)[..., None]}


def _focal_baseline(path: Path) -> float:
  """Focal length in pixels times baseline in metres, of OpenCV's XML."""
  try:
    storage = cv2.FileStorage(str(readable_file(path)), cv2.FILE_STORAGE_READ)
    result = storage.getNode('proj_matL').mat()[0, 0] * storage.getNode('baselineLR').real() / 1000
  except (cv2.error, IndexError, TypeError, SystemError) as error:
    raise InputError(path, 'has no proj_matL and baselineLR', "Booster's calibration") from error
  if not (result > 0 and math.isfinite(result)):
    raise InputError(path, 'has an invalid focal length or baseline', 'positive numbers')
  return result
