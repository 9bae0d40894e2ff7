"""Depth refinement by SDDR from coarse to fine: the whole picture first, then its windows.

Each window of a level is refined with a finer prediction of it and blended into the result. All
windows of a level see the disparity before it, so the network takes them as one batch.

Source: Li et al. (NeurIPS 2024), section 3.2; by default the two levels of the authors' program.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from depthjax import windows
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import maps
from depthjax.pipelines.refine import local_alignment, resolutions
from depthjax.pipelines.refine import refine as refine_lib
from depthjax.pipelines.refine.refine import Refiner
from depthjax.pipelines.refine.resolutions import Predict

# A window of fewer pixels shows no depth.
_SMALLEST = 8
# The authors' network sees pictures of 2048 pixels in one stage, and of these in two.
LARGEST = 1024


class Settings(NamedTuple):
  """How windows are refined.

  Attributes:
    levels: 2 has 4 + 9 windows, as the authors' program; 3, as the paper, 16 more.
    adaptive: resolutions of windows by Eq. 11 instead of their edges; see resolutions.by_gradients.
    alpha: that of Eq. 11; without, the steepness that the predictor sees in the whole picture
      stands for it: windows are then told apart, pictures are not.
    finest: the largest resolution of a prediction.
    chunk: windows that the network sees at once; see refine.fuse.
    side: of the network's maps of the picture and of windows, as in refine.refine; without, up to
      1024.
    input_size: what the predictor was trained at, px; needed with one.
    nearest, ensemble: as there.
    local: as there, of the first stage; and of the result, if windows are cut out of `high`.
  """

  levels: int = 2
  adaptive: bool = False
  alpha: float | None = None
  finest: int = resolutions.FINEST
  chunk: int | None = None
  side: int | None = None
  input_size: int | None = None
  nearest: bool = False
  ensemble: int = 1
  local: bool = True


def of_predictor(predictor: Predictor) -> Predict:
  """A depth predictor as `refine` asks it."""
  return lambda picture, resolution: depth_lib.predict(picture, predictor, resolution)


def refine(
  low: np.ndarray,
  high: np.ndarray,
  refiner: Refiner,
  *,
  shape: tuple[int, int] | None = None,
  photo: np.ndarray | None = None,
  predictor: Predict | None = None,
  views: Sequence[np.ndarray] | None = None,
  settings: Settings | None = None,
  done: Callable[[], None] = lambda: None,
) -> np.ndarray:
  """Both stages: refine.refine on the whole picture, then on the windows of each level.

  A window's sharp map is predicted at a resolution chosen for it. Without a predictor it is cut out
  of `high`, which then needs more detail than the network's side holds for windows to gain by it.

  Args:
    low, high, refiner, shape: as in refine.refine.
    photo: what the predictor is asked about: sRGB in [0, 1], [h w 3]; it has the result's size.
    predictor: (window, resolution) -> its disparity, near is large; see resolutions.Predict.
    views: predictions of the windows made beforehand, in place of a predictor: maps [h w 1] of any
      size, those of level 1 first, row by row as windows.grid has them.
    settings: how windows are refined.
    done: called `calls` times: after each prediction and each window.

  Returns:
    float32 [*shape 1]: disparity in the units of `low`.

  Raises:
    ValueError: as refine.refine; a picture too small for its windows; a predictor without a photo,
      or one that gives no maps.
  """
  settings = settings or Settings()
  shape = _shape(shape or high.shape[:2], photo, predictor, settings)
  unit = maps.unit(low, 'low')
  side = side_of(refiner, shape, settings)
  fields = {name: getattr(settings, name) for name in ('nearest', 'ensemble', 'local')}
  current = refine_lib.refine(unit.values, high, refiner, shape=shape, side=side, **fields)
  done()
  if predictor is not None and settings.adaptive and settings.alpha is None:
    settings = settings._replace(alpha=_alpha(photo, predictor, settings.input_size))
    done()
  ready = None
  if predictor is None:
    ready = _ready(high, views, shape, settings.levels)
  for level in range(1, settings.levels + 1):
    found = windows.grid(shape, level)
    if ready is None:
      sharp = _predicted(photo, predictor, current, found, settings, done)
    else:
      sharp = [next(ready) for _ in found]
    side = side_of(refiner, found[0][2:], settings)
    current = _level(refiner, current, sharp, found, settings._replace(side=side), done)
  if settings.local and predictor is None and views is None:
    # Not where windows have detail of their own, which `high` lacks.
    high = maps.unit(high, 'high').values
    current = local_alignment.aligned(current, unit.values, high)
  return unit.restored(current)


def side_of(refiner: Refiner, shape: tuple[int, int], settings: Settings) -> int:
  """The side of the network's maps for a picture or a window of (h, w) pixels.

  Raises:
    ValueError: the settings' is no positive multiple of 128.
  """
  if settings.side is not None:
    return refine_lib.checked_side(settings.side)
  return refine_lib.chosen_side(refiner._replace(side=min(refiner.side, LARGEST)), shape, LARGEST)


def calls(settings: Settings, predicts: bool) -> int:
  """How often `refine` calls `done`: with a predictor, or without."""
  count = windows.count(settings.levels)
  extra = count + (settings.alpha is None) if settings.adaptive else 0
  return 1 + count + (count + extra if predicts else 0)


def _shape(
  shape: tuple[int, int],
  photo: np.ndarray | None,
  predictor: Predict | None,
  settings: Settings,
) -> tuple[int, int]:
  """The size of the picture, once it is known to be one that windows can be cut from."""
  if predictor is not None:
    if photo is None or photo.ndim != 3 or photo.shape[-1] != 3:
      raise ValueError('a predictor needs the photograph [h w 3]')
    if settings.input_size is None:
      raise ValueError('a predictor needs settings.input_size, the size that it was trained at')
    shape = photo.shape[:2]
  least = _SMALLEST * (settings.levels + 1)
  if settings.levels < 1 or min(shape) < least:
    raise ValueError(
      f'a picture of {shape[1]} x {shape[0]} pixels cannot be cut into windows of '
      f'{settings.levels} levels; at least one level, and {least} pixels a side'
    )
  return tuple(shape)


def _alpha(photo: np.ndarray, predictor: Predict, side: int) -> float:
  """How steep the predictor sees the whole picture; a flat one has no windows to tell apart."""
  seen = resolutions.predict(predictor, photo, side)
  return resolutions.steepness(seen, side) or 1.0


def _ready(
  high: np.ndarray,
  views: Sequence[np.ndarray] | None,
  shape: tuple[int, int],
  levels: int,
) -> Iterator[np.ndarray]:
  """Sharp maps of all windows that no predictor has to make."""
  count = windows.count(levels)
  if views is None:
    full = maps.resized(maps.unit(high, 'high').values, shape)
    numbers = range(1, levels + 1)
    views = [full[box.slices] for level in numbers for box in windows.grid(shape, level)]
  if len(views) != count:
    raise ValueError(f'{len(views)} views of windows; {levels} levels have {count}')
  return (np.asarray(view, np.float32) for view in views)


def _predicted(
  photo: np.ndarray,
  predictor: Predict,
  current: np.ndarray,
  found: Sequence[windows.Window],
  settings: Settings,
  done: Callable[[], None],
) -> list[np.ndarray]:
  """What the predictor says of each window."""
  side, finest = settings.input_size, settings.finest
  if settings.adaptive:
    wanted = resolutions.by_gradients(
      photo, predictor, current, found, side, settings.alpha, finest, done
    )
  else:
    wanted = resolutions.by_edges(current, found, side, finest)
  result = {}
  # One resolution after another: a predictor need not change its size to and fro.
  for i in sorted(range(len(found)), key=lambda i: wanted[i]):
    result[i] = resolutions.predict(predictor, photo[found[i].slices], wanted[i])
    done()
  return [result[i] for i in range(len(found))]


def _level(
  refiner: Refiner,
  current: np.ndarray,
  sharp: Sequence[np.ndarray],
  found: Sequence[windows.Window],
  settings: Settings,
  done: Callable[[], None],
) -> np.ndarray:
  """The disparity [h w 1] with each window refined and blended in, one over the other in turn.

  `sharp` are the windows' sharp maps of any size; `settings` has a side.
  """
  square = (settings.side, settings.side)
  resize = maps.nearest if settings.nearest else maps.resized
  low = np.stack([resize(current[window.slices], square) for window in found])
  sharp = np.stack([maps.resized(x, square) for x in sharp])
  result = current.copy()
  fused = refine_lib.fuse(refiner, low, sharp, settings.chunk, ensemble=settings.ensemble)
  for window, values in zip(found, fused, strict=True):
    size = (window.height, window.width)
    part = result[window.slices]
    part += windows.feather(size)[..., None] * (maps.resized(values, size, cv2.INTER_CUBIC) - part)
    done()
  return result
