"""Pictures with measured metric depth: DIML and DIODE."""

from pathlib import Path

from depthjax.files import depth
from depthjax.prepare import maps, pictures
from depthjax.prepare.entries import Found, Record
from depthjax.prepare.layouts import matched


def diml(source: Path) -> Found:
  """DIML/CVL RGB-D (Cho et al., 2021), high resolution: image, disparity, valid, unit ('1/m').

  Layout, as we know it (not checked): indoors `HR/SCENE/color/NAME_c.png` with
  `HR/SCENE/depth_filled/NAME_depth_filled.png`, outdoors `outleft/NAME.png` with
  `depthmap/NAME.png`, in any folders such as `indoor/` and `outdoor/`; depth is 16-bit PNG in
  millimetres, 0 unknown. `LR/`, the same at a low resolution, is not read.

  Licence: research only, as we know it.

  What becomes of it: disparity = 1 / depth; an indoor scene is held out as a whole, outdoors each
  picture is one of its own.

  Raises:
    InputError: not a folder, or no picture in it.
  """
  indoors = 'HR/{scene}/color/{name}_c.png', 'HR/{scene}/depth_filled/{name}_depth_filled.png'
  outdoors = 'outleft/{name}.png', 'depthmap/{name}.png'
  return Found(maps.FIELDS, matched(source, [indoors, outdoors], _millimetres))


def diode(source: Path) -> Found:
  """DIODE (Vasiljevic et al., 2019), laser scans: fields image, disparity, valid, unit ('1/m').

  Layout, as we know it (not checked): `indoors/` and `outdoor/` with
  `scene_SSSSS/scan_CCCCC/NAME.png` of 1024 x 768, `NAME_depth.npy`, metres, and
  `NAME_depth_mask.npy`, 1 where they were measured; 771 pictures in `val/`.

  Licence: MIT.

  What becomes of it: disparity = 1 / depth, valid where the mask is; a scene is held out as a
  whole.

  Raises:
    InputError: not a folder, or no picture in it.
  """
  place = '{scene}/scan_{scan}/{name}'
  rule = f'{place}.png', f'{place}_depth.npy', f'{place}_depth_mask.npy'
  return Found(maps.FIELDS, matched(source, [rule], _scanned))


def _millimetres(photo: Path, file: Path) -> Record:
  return maps.of_depth(photo, pictures.read_picture(photo), file, maps.read_millimetres(file))


def _scanned(photo: Path, file: Path, mask: Path) -> Record:
  measured = depth.read_raw(mask) > 0
  return maps.of_depth(photo, pictures.read_picture(photo), file, depth.read_raw(file), measured)
