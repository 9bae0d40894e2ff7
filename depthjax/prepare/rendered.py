"""Pictures of rendered scenes with metric depth: Hypersim, TartanAir and MVS-Synth."""

from pathlib import Path

import numpy as np

from depthjax.files import depth, images
from depthjax.prepare import hdf5, maps, pictures
from depthjax.prepare.entries import Found, Record
from depthjax.prepare.layouts import matched

_HYPERSIM = (
  '{scene}/images/scene_{camera}_final_hdf5/frame.{frame}.color.hdf5',
  '{scene}/images/scene_{camera}_geometry_hdf5/frame.{frame}.depth_meters.hdf5',
)
# Of Hypersim's cameras, in pixels, at the width of its frames.
_FOCAL, _WIDTH = 886.81, 1024
_LUMA = np.array([0.3, 0.59, 0.11], np.float32)
_PERCENTILE, _BRIGHTNESS, _GAMMA = 90, 0.8, 1 / 2.2
_PUBLISHED_GAMMA = 0.5 / 2.2


def hypersim(source: Path) -> Found:
  """Hypersim (Roberts et al., ICCV 2021): fields image, disparity, valid, unit ('1/m').

  Layout, as we know it (not checked): `SCENE/images/scene_cam_CC_final_hdf5/frame.NNNN.color.hdf5`,
  linear light, with `SCENE/images/scene_cam_CC_geometry_hdf5/frame.NNNN.depth_meters.hdf5`,
  distances from the camera's centre; all frames that are there, such as the 286 of 1024 x 768 on
  which GBDF and SDDR are measured. Reading them takes the optional package h5py.

  Licence: CC BY-SA 3.0.

  What becomes of it: distance becomes planar depth for the published focal length (886.81 pixels;
  the few tilted lenses are not treated), and disparity = 1 / depth. Light is scaled so that its
  90th percentile has a brightness of 0.8 after a gamma of 1 / 2.2, and clipped, as the authors do,
  but over all pixels. A scene is held out as a whole.

  Raises:
    InputError: not a folder, or no frame in it.
  """
  return Found(maps.FIELDS, matched(source, [_HYPERSIM], _planar))


def hypersim_published(source: Path) -> Found:
  """Hypersim as GBDF and SDDR were measured on it: fields image, disparity, valid, unit ('1/m').

  Layout, as we know it (not checked): that of hypersim, `SCENE/images/scene_cam_CC_final_hdf5/` and
  `SCENE/images/scene_cam_CC_geometry_hdf5/`; all frames that are there, which should be the 286.

  Licence: CC BY-SA 3.0.

  What becomes of it: the distance is taken for the depth, uncorrected, and pictures are
  (light / largest light)^(0.5 / 2.2).

  Raises:
    InputError: not a folder, or no frame in it.
  """
  return Found(maps.FIELDS, matched(source, [_HYPERSIM], _uncorrected))


def tartanair(source: Path) -> Found:
  """TartanAir (Wang et al., IROS 2020): fields image, disparity, valid, unit ('1/m').

  Layout, as we know it (not checked): `ENVIRONMENT/LEVEL/RUN/image_left/N_left.png` and
  `ENVIRONMENT/LEVEL/RUN/depth_left/N_left_depth.npy`, metres along the optical axis, such as
  `abandonedfactory/Easy/P000/image_left/000000_left.png`.

  Licence: CC BY 4.0, as we know it.

  What becomes of it: disparity = 1 / depth, valid where that is finite, as it is of the sky. An
  environment is held out as a whole, so at least 3 are needed.

  Raises:
    InputError: not a folder, or no left picture in it.
  """
  place = '{scene}/{level}/{run}'
  rule = f'{place}/image_left/{{frame}}_left.png', f'{place}/depth_left/{{frame}}_left_depth.npy'
  return Found(maps.FIELDS, matched(source, [rule], _of_depth))


def mvssynth(source: Path) -> Found:
  """MVS-Synth (Huang et al., CVPR 2018): fields image, disparity, valid, unit ('1/m').

  Layout, as we know it (not checked): a folder for each of 120 sequences, `0000` to `0119`, in
  `GTAV_540/`, `GTAV_720/` or `GTAV_1080/`, with `images/NNNN.png` and `depths/NNNN.exr` (channel
  Z, Y or R), planar depth. Reading EXR takes the optional package OpenEXR.

  Licence: research only, frames of a game, as we know it.

  What becomes of it: disparity = 1 / depth, the unit of the game taken for a metre; what is not
  finite, such as a sky, is not valid. A sequence is held out as a whole.

  Raises:
    InputError: not a folder, or no picture in it.
  """
  rule = '{scene}/images/{frame}.png', '{scene}/depths/{frame}.exr'
  return Found(maps.FIELDS, matched(source, [rule], _of_depth))


def _of_depth(photo: Path, file: Path) -> Record:
  return maps.of_depth(photo, pictures.read_picture(photo), file, depth.read_raw(file))


def _planar(photo: Path, file: Path) -> Record:
  light, distance = _read_frame(photo, file)
  h, w = distance.shape
  focal = _FOCAL * w / _WIDTH
  x, y = (np.arange(size, dtype=np.float32) + 0.5 - size / 2 for size in (w, h))
  metres = distance * focal / np.sqrt(x**2 + y[:, None] ** 2 + focal**2)
  return maps.of_depth(photo, images.quantise(_tone_mapped(light)), file, metres)


def _uncorrected(photo: Path, file: Path) -> Record:
  light, distance = _read_frame(photo, file)
  # The published code scales the light by its percentile first, which the division undoes.
  image = (light / max(light.max(), np.finfo(np.float32).tiny)) ** _PUBLISHED_GAMMA
  return maps.of_depth(photo, images.quantise(image), file, distance)


def _read_frame(photo: Path, file: Path) -> tuple[np.ndarray, np.ndarray]:
  """Light [h w 3] and distances [h w] of a frame of Hypersim; what is not finite is black."""
  light = hdf5.read(photo, 'dataset', channels=(3,))
  distance = hdf5.read(file, 'dataset')
  return np.where(np.isfinite(light), np.maximum(light, 0), 0), distance


def _tone_mapped(light: np.ndarray) -> np.ndarray:
  """The display values that Hypersim's authors give light [h w 3], not clipped."""
  now = float(np.percentile(light @ _LUMA, _PERCENTILE))
  if now <= 0:
    return np.zeros_like(light)
  return (light * (_BRIGHTNESS ** (1 / _GAMMA) / now)) ** _GAMMA
