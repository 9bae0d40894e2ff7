"""Images of stereo pairs with disparity: multiscopic, IRS, UnrealStereo4K, Holopix50k, HR-WSI.

Their disparity is in pixels, or in stored levels: inverse depth with an unknown scale and offset.
"""

from pathlib import Path

import numpy as np

from depthjax.files import depth
from depthjax.prepare import maps, pictures
from depthjax.prepare.entries import Found, Record
from depthjax.prepare.layouts import matched


def multiscopic(source: Path) -> Found:
  """Multiscopic, test_b (Yuan et al., IROS 2021): fields image, disparity, valid, unit ('px').

  Layout (unverified): a folder for each of 100 scenes with five views `view0.png` to `view4.png`
  and their 8-bit disparity `disp0.png` to `disp4.png`, 0 unknown.

  Licence: unknown; research.

  Conversion: one record per view, disparity as stored. All views of a scene are in one split.
  """
  return matched(source, [('{scene}/view{view}.png', '{scene}/disp{view}.png')], _load_positive)


def irs(source: Path) -> Found:
  """IRS, indoor robotics stereo (Wang et al., ICME 2021): image, disparity, valid, unit ('px').

  Layout (unverified): folders of scenes at any depth, such as `Home/ArchVizInteriorDay`, with left
  images `l_N.png` and their disparity `d_N.exr` (channel Z, Y or R). Right images `r_N.png` and
  normals `n_N.exr` are not read. EXR needs the optional package OpenEXR.

  Licence: unknown; research.

  Conversion: disparity as stored, valid where positive. All images of a scene are in one split.
  """
  return matched(source, [('{scene}/l_{frame}.png', '{scene}/d_{frame}.exr')], _load_positive)


def unrealstereo4k(source: Path) -> Found:
  """UnrealStereo4K (Tosi et al., CVPR 2021): image, disparity, valid, unit ('px').

  Layout (unverified): a folder for each of 9 scenes, `00000` to `00008`, with left images
  `Image0/N.png` of 3840 x 2160 and their disparity `Disp0/N.npy`. `Image1/`, `Disp1/` and
  `Extrinsics0/` are not read.

  Licence: unknown; research.

  Conversion: disparity as stored, valid where positive. All images of a scene are in one split.
  --long-side=1920 halves the resolution.
  """
  rule = '{scene}/Image0/{frame}.png', '{scene}/Disp0/{frame}.npy'
  return matched(source, [rule], _load_positive)


def holopix50k(source: Path) -> Found:
  """Holopix50k (Hua et al., 2020), natural stereo pairs: image, disparity, valid, unit ('px').

  Layout (unverified): `left/NAME_left.jpg` and `right/NAME_right.jpg`, in the folder or in
  `train/`, `val/` and `test/`. The dataset has no ground truth: add a folder `disparity/` beside
  left/ and right/ with the map `NAME_left` of each pair (PNG, TIFF, NPY, NPZ, PFM or EXR) from any
  stereo network, near is large. Right images are not read.

  Licence: that of its authors, research only (unverified).

  Conversion: disparity as stored, which may be negative; valid where it is finite.
  """
  return matched(source, [('left/{name}_left.jpg', 'disparity/{name}_left.*')], _load_finite)


def hrwsi(source: Path) -> Found:
  """HR-WSI (Xian et al., CVPR 2020), web stereo: fields image, disparity, valid, unit ('px').

  Layout (unverified): `imgs/NAME.jpg`, `gts/NAME.png`, its disparity, near is large, and
  `valid_masks/NAME.png`, 255 where that is known; in the folder or in `train/` and `val/` (20,378
  and 400).

  Licence: research only (unverified).

  Conversion: disparity as stored, valid where its mask is.
  """
  rule = 'imgs/{name}.jpg', 'gts/{name}.png', 'valid_masks/{name}.png'
  return matched(source, [rule], _load_masked)


def _load_positive(photo: Path, file: Path) -> Record:
  values = depth.read_raw(file)
  return maps.of_disparity(photo, file, values, values > 0)


def _load_finite(photo: Path, file: Path) -> Record:
  values = depth.read_raw(file)
  return maps.of_disparity(photo, file, values, np.isfinite(values))


def _load_masked(photo: Path, file: Path, mask: Path) -> Record:
  values, valid = depth.read_raw(file), pictures.read_mask(mask)[..., 0] > 0
  return maps.of_disparity(photo, file, values, valid)
