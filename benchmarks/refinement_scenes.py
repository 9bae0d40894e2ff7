"""Scenes with measured disparity, and simulated predictions of them."""

import functools
import pathlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

import cv2
import numpy as np

from depthjax.data.records import predictions
from depthjax.data.records.prediction_config import PredictionConfig
from depthjax.files import depth, images
from depthjax.pipelines import maps

_CONFIG = PredictionConfig(levels=0)
# Noise in small maps in px, as in the low map of the authors of the bilateral solver.
_NOISE = 5.0


class Scene(NamedTuple):
  """A measured disparity in px [h w], the mask of valid pixels [h w] and the photograph [h w 3].

  `factor` is that by which the low map is smaller, or 0, where a predictor's is simulated; `given`
  is a low map [h w] that is there already.
  """

  disparity: np.ndarray
  valid: np.ndarray
  photo: np.ndarray
  factor: int = 0
  given: np.ndarray | None = None


class Case(NamedTuple):
  """Inputs: `small` [h' w' 1], `low` (`small` upsampled), `high` and the photograph."""

  small: np.ndarray
  low: np.ndarray
  high: np.ndarray
  photo: np.ndarray


class _Stereo(NamedTuple):
  """Files of a stereo scene, units per pixel of disparity, and the offset of disparity in px."""

  folder: str
  disparity: str
  photo: str
  levels: float
  offset: float = 0.0

  def __call__(self, root: pathlib.Path) -> Scene:
    folder = root / 'stereo_gt' / self.folder
    raw = depth.read_raw(folder / self.disparity)
    valid = np.isfinite(raw) & (raw > 0)
    disparity = np.where(valid, raw / self.levels + self.offset, 0).astype(np.float32)
    return Scene(disparity, valid, images.read_image(folder / self.photo))

  def files(self, root: pathlib.Path) -> list[pathlib.Path]:
    return [root / 'stereo_gt' / self.folder / name for name in (self.disparity, self.photo)]


class _Small(NamedTuple):
  """A scene of test set A of MSG-Net: its name, and the factor or the file of the low map."""

  name: str
  factor: int
  given: str = ''

  def __call__(self, root: pathlib.Path) -> Scene:
    truth, photo, *given = self.files(root)
    disparity = depth.read_raw(truth)
    h, w = disparity.shape
    # The photographs are those of the stereo set, which have a border.
    photo = images.read_image(photo)[11 : 11 + h, 7 : 7 + w]
    low = depth.read_raw(given[0]) / 257 if given else None
    return Scene(disparity, np.ones((h, w), bool), photo, self.factor, low)

  def files(self, root: pathlib.Path) -> list[pathlib.Path]:
    folder = root / 'depth_sr'
    paths = [folder / 'msgnet_A' / f'{self.name}_{kind}.png' for kind in ('disp', 'rgb')]
    return [*paths, folder / self.given] if self.given else paths


SCENES = {
  'motorcycle': _Stereo('mb2014_motorcycle_q', 'disp.npz', 'left.png', 1, 31.086),
  'cones': _Stereo('mb2003_cones', 'disp2.png', 'im2.png', 4),
  'teddy': _Stereo('mb2003_teddy', 'disp2.png', 'im2.png', 4),
  'art': _Stereo('mb2005_art', 'disp1.png', 'view1.png', 3),
  'dolls': _Stereo('mb2005_dolls', 'disp1.png', 'view1.png', 3),
  'cloth': _Stereo('mb2006_cloth3', 'disp1.png', 'view1.png', 2),
  'tsukuba': _Stereo('mb2001_tsukuba', 'disp2.png', 'im2.png', 16),
  'art x8': _Small('art', 8),
  'art x16': _Small('art', 16),
  'books x8': _Small('books', 8),
  'books x16': _Small('books', 16),
  'art noisy': _Small('art', 16, 'bilateral_solver_art/target.png'),
}


def found(
  root: pathlib.Path, names: Iterable[str] | None = None
) -> tuple[dict[str, Callable[[], Scene]], list[pathlib.Path]]:
  """Functions that read the scenes of a folder, and the missing files of the other scenes."""
  scenes, absent = {}, []
  for name in names or SCENES:
    missing = [path for path in SCENES[name].files(root) if not path.is_file()]
    absent += missing
    if not missing:
      scenes[name] = functools.partial(SCENES[name], root)
  return scenes, list(dict.fromkeys(absent))


def case(scene: Scene, seed: int) -> Case:
  """The simulated predictions of a scene; they depend only on the seed."""
  rng = np.random.default_rng(seed)
  truth = depth.fill(scene.disparity, scene.valid)
  seen = predictions.predicted(rng, truth, _CONFIG)
  shape, factor = truth.shape, scene.factor
  if not factor:
    # The resolution of the predictor, before upsampling.
    size = tuple(max(8, round(_CONFIG.low * n)) for n in shape)
    small = maps.resized(seen['low'][..., None], size)
    low = seen['low'][..., None]
  elif scene.given is not None:
    low = scene.given[..., None]
    small = maps.resized(low, tuple(n // factor for n in shape))
  else:
    small = maps.resized(truth[..., None], tuple(n // factor for n in shape))
    small = small + _NOISE * rng.standard_normal(small.shape).astype(np.float32)
    low = maps.resized(small, shape, cv2.INTER_CUBIC)
  return Case(small, low.astype(np.float32), seen['high'][..., None], scene.photo)
