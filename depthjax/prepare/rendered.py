"""Images of rendered scenes with metric depth: Hypersim, TartanAir and MVS-Synth."""

from pathlib import Path

import numpy as np

from depthjax.files import images
from depthjax.prepare import hdf5, maps
from depthjax.prepare.entries import Found, Record
from depthjax.prepare.layouts import matched

_HYPERSIM = (
  '{scene}/images/scene_{camera}_final_hdf5/frame.{frame}.color.hdf5',
  '{scene}/images/scene_{camera}_geometry_hdf5/frame.{frame}.depth_meters.hdf5',
)
# Hypersim's focal length in pixels, and the width of its frames.
_FOCAL, _WIDTH = 886.81, 1024
_LUMA = np.array([0.3, 0.59, 0.11], np.float32)
_PERCENTILE, _BRIGHTNESS, _GAMMA = 90, 0.8, 1 / 2.2
_PUBLISHED_GAMMA = 0.5 / 2.2


def hypersim(source: Path) -> Found:
  """Hypersim (Roberts et al., ICCV 2021): fields image, disparity, valid, unit ('1/m').

  Layout (unverified): `SCENE/images/scene_cam_CC_final_hdf5/frame.NNNN.color.hdf5`, linear light,
  with `SCENE/images/scene_cam_CC_geometry_hdf5/frame.NNNN.depth_meters.hdf5`, distances from the
  camera's centre. All existing frames are read, such as the 286 of 1024 x 768 on which GBDF and
  SDDR are measured. This needs the optional package h5py.

  Licence: CC BY-SA 3.0.

  Conversion: distance becomes planar depth by the published focal length (886.81 pixels; the few
  tilted lenses are ignored), and disparity = 1 / depth. Light is scaled so that its 90th percentile
  has a brightness of 0.8 after a gamma of 1 / 2.2, and clipped, as the authors do, but over all
  pixels. All frames of a scene are in one split.
  """
  return matched(source, [_HYPERSIM], _load_planar)


def hypersim_published(source: Path) -> Found:
  """Hypersim as GBDF and SDDR were measured on it: fields image, disparity, valid, unit ('1/m').

  Layout (unverified): as hypersim, `SCENE/images/scene_cam_CC_final_hdf5/` and
  `SCENE/images/scene_cam_CC_geometry_hdf5/`. All existing frames are read; the papers use 286.

  Licence: CC BY-SA 3.0.

  Conversion: distance is used as depth without correction, and images are
  (light / largest light)^(0.5 / 2.2).
  """
  return matched(source, [_HYPERSIM], _load_published)


def tartanair(source: Path) -> Found:
  """TartanAir (Wang et al., IROS 2020): fields image, disparity, valid, unit ('1/m').

  Layout (unverified): `ENVIRONMENT/LEVEL/RUN/image_left/N_left.png` and
  `ENVIRONMENT/LEVEL/RUN/depth_left/N_left_depth.npy`, metres along the optical axis, such as
  `abandonedfactory/Easy/P000/image_left/000000_left.png`.

  Licence: CC BY 4.0 (unverified).

  Conversion: disparity = 1 / depth, valid where depth is finite, which includes the sky. All images
  of an environment are in one split, so at least 3 environments are needed.
  """
  path = '{scene}/{level}/{run}'
  rule = f'{path}/image_left/{{frame}}_left.png', f'{path}/depth_left/{{frame}}_left_depth.npy'
  return matched(source, [rule], maps.load_depth)


def mvssynth(source: Path) -> Found:
  """MVS-Synth (Huang et al., CVPR 2018): fields image, disparity, valid, unit ('1/m').

  Layout (unverified): a folder for each of 120 sequences, `0000` to `0119`, in `GTAV_540/`,
  `GTAV_720/` or `GTAV_1080/`, with `images/NNNN.png` and `depths/NNNN.exr` (channel Z, Y or R),
  planar depth. EXR needs the optional package OpenEXR.

  Licence: research only, frames of a game (unverified).

  Conversion: disparity = 1 / depth, with the game's unit as a metre; valid where depth is finite.
  All images of a sequence are in one split.
  """
  rule = '{scene}/images/{frame}.png', '{scene}/depths/{frame}.exr'
  return matched(source, [rule], maps.load_depth)


def _load_planar(photo: Path, file: Path) -> Record:
  light, distance = _read_frame(photo, file)
  h, w = distance.shape
  focal = _FOCAL * w / _WIDTH
  x, y = (np.arange(size, dtype=np.float32) + 0.5 - size / 2 for size in (w, h))
  metres = distance * focal / np.sqrt(x**2 + y[:, None] ** 2 + focal**2)
  return maps.of_depth(photo, file, metres, image=images.quantise(_tone_mapped(light)))


def _load_published(photo: Path, file: Path) -> Record:
  light, distance = _read_frame(photo, file)
  # The published code also scales the light by its percentile, which the division cancels.
  image = (light / max(light.max(), np.finfo(np.float32).tiny)) ** _PUBLISHED_GAMMA
  return maps.of_depth(photo, file, distance, image=images.quantise(image))


def _read_frame(photo: Path, file: Path) -> tuple[np.ndarray, np.ndarray]:
  """Light [h w 3], 0 where not finite, and distances [h w] of a frame of Hypersim."""
  light = hdf5.read(photo, 'dataset', channels=(3,))
  distance = hdf5.read(file, 'dataset')
  return np.where(np.isfinite(light), np.maximum(light, 0), 0), distance


def _tone_mapped(light: np.ndarray) -> np.ndarray:
  """Display values of light [h w 3] by the tone mapping of Hypersim's authors, not clipped."""
  brightness = float(np.percentile(light @ _LUMA, _PERCENTILE))
  if brightness <= 0:
    return np.zeros_like(light)
  return (light * (_BRIGHTNESS ** (1 / _GAMMA) / brightness)) ** _GAMMA
