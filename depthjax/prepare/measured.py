"""Images with measured metric depth: DIML and DIODE."""

from pathlib import Path

from depthjax.files import depth
from depthjax.prepare import maps
from depthjax.prepare.entries import Found, Record
from depthjax.prepare.layouts import matched


def diml(source: Path) -> Found:
  """DIML/CVL RGB-D (Cho et al., 2021), high resolution: image, disparity, valid, unit ('1/m').

  Layout (unverified): indoors `HR/SCENE/color/NAME_c.png` with
  `HR/SCENE/depth_filled/NAME_depth_filled.png`, outdoors `outleft/NAME.png` with
  `depthmap/NAME.png`, in any folders such as `indoor/` and `outdoor/`; depth is 16-bit PNG in
  millimetres, 0 unknown. `LR/`, the low resolution, is not read.

  Licence: research only (unverified).

  Conversion: disparity = 1 / depth. All images of an indoor scene are in one split; outdoors there
  are no scenes.
  """
  indoors = 'HR/{scene}/color/{name}_c.png', 'HR/{scene}/depth_filled/{name}_depth_filled.png'
  outdoors = 'outleft/{name}.png', 'depthmap/{name}.png'
  return matched(source, [indoors, outdoors], maps.load_millimetres)


def diode(source: Path) -> Found:
  """DIODE (Vasiljevic et al., 2019), laser scans: fields image, disparity, valid, unit ('1/m').

  Layout (unverified): `indoors/` and `outdoor/` with `scene_SSSSS/scan_CCCCC/NAME.png` of
  1024 x 768, `NAME_depth.npy`, metres, and `NAME_depth_mask.npy`, 1 where they were measured; 771
  images in `val/`.

  Licence: MIT.

  Conversion: disparity = 1 / depth, valid where the mask is. All images of a scene are in one
  split.
  """
  path = '{scene}/scan_{scan}/{name}'
  rule = f'{path}.png', f'{path}_depth.npy', f'{path}_depth_mask.npy'
  return matched(source, [rule], _load_masked)


def _load_masked(photo: Path, file: Path, mask: Path) -> Record:
  return maps.of_depth(photo, file, depth.read_raw(file), depth.read_raw(mask) > 0)
