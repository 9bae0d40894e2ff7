"""Pictures of stereo pairs with disparity: multiscopic, IRS, UnrealStereo4K, Holopix50k, HR-WSI.

Their disparity is in pixels, or levels of which no one says what they are: inverse depth but for a
scale and an offset.
"""

from pathlib import Path

import numpy as np

from depthjax.files import depth
from depthjax.prepare import maps, pictures
from depthjax.prepare.entries import Found, Record
from depthjax.prepare.layouts import matched


def multiscopic(source: Path) -> Found:
  """Multiscopic, test_b (Yuan et al., IROS 2021): fields image, disparity, valid, unit ('px').

  Layout, as we know it (not checked): a folder for each of 100 scenes with five views
  `view0.png` to `view4.png` and their 8-bit disparity `disp0.png` to `disp4.png`, 0 unknown.

  Licence: none known to us; research.

  What becomes of it: a record a view, disparity as stored; the views of a scene are held out
  together.

  Raises:
    InputError: not a folder, or no view in it.
  """
  rule = '{scene}/view{view}.png', '{scene}/disp{view}.png'
  return Found(maps.FIELDS, matched(source, [rule], _positive))


def irs(source: Path) -> Found:
  """IRS, indoor robotics stereo (Wang et al., ICME 2021): image, disparity, valid, unit ('px').

  Layout, as we know it (not checked): folders of scenes at any depth, such as
  `Home/ArchVizInteriorDay`, with left pictures `l_N.png` and their disparity `d_N.exr` (channel Z,
  Y or R). Right pictures `r_N.png` and normals `n_N.exr` are not read. Reading EXR takes the
  optional package OpenEXR.

  Licence: none known to us; research.

  What becomes of it: disparity as stored, valid where positive; a scene is held out as a whole.

  Raises:
    InputError: not a folder, or no left picture in it.
  """
  rule = '{scene}/l_{frame}.png', '{scene}/d_{frame}.exr'
  return Found(maps.FIELDS, matched(source, [rule], _positive))


def unrealstereo4k(source: Path) -> Found:
  """UnrealStereo4K (Tosi et al., CVPR 2021): image, disparity, valid, unit ('px').

  Layout, as we know it (not checked): a folder for each of 9 scenes, `00000` to `00008`, with left
  pictures `Image0/N.png` of 3840 x 2160 and their disparity `Disp0/N.npy`. `Image1/`, `Disp1/` and
  `Extrinsics0/` are not read.

  Licence: none known to us; research.

  What becomes of it: disparity as stored, valid where positive; a scene is held out as a whole.
  --long-side=1920 keeps a quarter of the pixels.

  Raises:
    InputError: not a folder, or no left picture in it.
  """
  rule = '{scene}/Image0/{frame}.png', '{scene}/Disp0/{frame}.npy'
  return Found(maps.FIELDS, matched(source, [rule], _positive))


def holopix50k(source: Path) -> Found:
  """Holopix50k (Hua et al., 2020), natural stereo pairs: image, disparity, valid, unit ('px').

  Layout, as we know it (not checked): `left/NAME_left.jpg` and `right/NAME_right.jpg`, in the
  folder or in `train/`, `val/` and `test/`. The set has no ground truth: beside left/ and right/
  stands a folder `disparity/` of your own with the map `NAME_left` of each pair (PNG, TIFF, NPY,
  NPZ, PFM or EXR) of any stereo network, near is large. Right pictures are not read.

  Licence: that of its authors, research only, as we know it.

  What becomes of it: disparity as stored, which may be negative; valid where it is finite.

  Raises:
    InputError: not a folder, or no left picture in it.
  """
  rule = 'left/{name}_left.jpg', 'disparity/{name}_left.*'
  return Found(maps.FIELDS, matched(source, [rule], _finite))


def hrwsi(source: Path) -> Found:
  """HR-WSI (Xian et al., CVPR 2020), web stereo: fields image, disparity, valid, unit ('px').

  Layout, as we know it (not checked): `imgs/NAME.jpg`, `gts/NAME.png`, its disparity, near is
  large, and `valid_masks/NAME.png`, 255 where that is known; in the folder or in `train/` and
  `val/` (20,378 and 400).

  Licence: research only, as we know it.

  What becomes of it: disparity as stored, valid where its mask is.

  Raises:
    InputError: not a folder, or no picture in it.
  """
  rule = 'imgs/{name}.jpg', 'gts/{name}.png', 'valid_masks/{name}.png'
  return Found(maps.FIELDS, matched(source, [rule], _within_mask))


def _positive(photo: Path, file: Path) -> Record:
  values = depth.read_raw(file)
  return maps.of_disparity(photo, pictures.read_picture(photo), file, values, values > 0)


def _finite(photo: Path, file: Path) -> Record:
  values = depth.read_raw(file)
  return maps.of_disparity(photo, pictures.read_picture(photo), file, values, np.isfinite(values))


def _within_mask(photo: Path, file: Path, mask: Path) -> Record:
  values, known = depth.read_raw(file), pictures.read_mask(mask)[..., 0] > 0
  return maps.of_disparity(photo, pictures.read_picture(photo), file, values, known)
