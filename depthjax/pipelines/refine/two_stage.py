"""Depth refinement with SDDR in two stages: first the picture, then its windows, coarse to fine.

Each window of a level is refined with a finer prediction of it and blended into the result. All
windows of a level start from the disparity of the level before, so the network takes them as one
batch.

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

# Minimal size of a window in pixels.
_SMALLEST = 8
# The authors' input size is 2048 in one stage and 1024 in two.
LARGEST = 1024


class Settings(NamedTuple):
  """Settings of two-stage refinement."""

  levels: int = 2  # Of windows: 2 has 4 + 9 windows, as the authors' program; 3, as the paper, 29.
  batch_size: int | None = None  # Windows per call of the network, see refine.fuse.
  input_size: int | None = None  # Of the network, see refine.refine; default: at most 1024.
  predictor_size: int | None = None  # Training size of the predictor, px; required with one.
  ensemble: int = 1  # See refine.fuse.
  # See refine.refine. For the first stage, and for the result if `high` is cropped into windows.
  local: bool = True
  margin: float = refine_lib.MARGIN  # See refine.refine.


def of_predictor(predictor: Predictor) -> Predict:
  """A depth predictor as a function for `refine`."""
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
  """Refines in two stages: refine.refine on the picture, then the windows of each level.

  The sharp map of a window comes from the predictor, from `views`, or is cropped from `high`, which
  then needs more detail than the network's input size can represent.

  Args:
    low, high, refiner, shape: as in refine.refine.
    photo: input of the predictor, sRGB in [0, 1], [h w 3]; the result has its size.
    predictor: (window of the photograph, resolution) -> its disparity, see resolutions.Predict.
    views: predictions of the windows, computed in advance: maps [h w 1] of any size, level 1 first,
      in the order of windows.grid.
    settings: see `Settings`.
    done: called `calls` times: after each prediction and each window.

  Returns:
    float32 [*shape 1], disparity in the units of `low`.

  Raises:
    ValueError: as refine.refine; a picture too small for its windows; a predictor without a photo
      or without its size, or with invalid results.
  """
  settings = settings or Settings()
  shape = _checked_shape(shape or high.shape[:2], photo, predictor, settings)
  unit = maps.normalise(low, 'low')
  fields = {name: getattr(settings, name) for name in ('ensemble', 'local', 'margin')}
  fields['input_size'] = input_size_of(refiner, shape, settings)
  current = refine_lib.refine(unit.values, high, refiner, shape=shape, **fields)
  done()
  stored = _stored(high, views, shape, settings.levels) if predictor is None else None
  for level in range(1, settings.levels + 1):
    found = windows.grid(shape, level)
    if stored is None:
      sharp = _predicted(photo, predictor, current, found, settings, done)
    else:
      sharp = [next(stored) for _ in found]
    size = input_size_of(refiner, found[0][2:], settings)
    current = _refined(refiner, current, sharp, found, settings._replace(input_size=size), done)
    current = np.clip(current, -settings.margin, 1 + settings.margin)
  if settings.local and predictor is None and views is None:
    # Not with separate predictions of the windows: `high` lacks their detail.
    high = maps.normalise(high, 'high').values
    current = local_alignment.aligned(current, unit.values, high)
  return unit.restored(current)


def input_size_of(refiner: Refiner, shape: tuple[int, int], settings: Settings) -> int:
  """Input size of the network for a picture or a window of (h, w) pixels."""
  if settings.input_size is not None:
    return settings.input_size
  trained_size = min(refiner.trained_size, LARGEST)
  return refine_lib.default_input_size(refiner._replace(trained_size=trained_size), shape, LARGEST)


def calls(settings: Settings, predicts: bool) -> int:
  """How often `refine` calls `done`, with a predictor or without."""
  return 1 + windows.count(settings.levels) * (2 if predicts else 1)


def _checked_shape(
  shape: tuple[int, int], photo: np.ndarray | None, predictor: Predict | None, settings: Settings
) -> tuple[int, int]:
  """Size (h, w) of the result; checks that it is large enough for the windows."""
  if predictor is not None:
    if photo is None or photo.ndim != 3 or photo.shape[-1] != 3:
      raise ValueError('a predictor needs the photograph [h w 3]')
    if settings.predictor_size is None:
      raise ValueError('a predictor needs settings.predictor_size, the size it was trained at')
    shape = photo.shape[:2]
  least = _SMALLEST * (settings.levels + 1)
  if settings.levels < 1 or min(shape) < least:
    raise ValueError(
      f'a picture of {shape[1]} x {shape[0]} pixels cannot be divided into windows of '
      f'{settings.levels} levels; at least 1 level and {least} x {least} pixels'
    )
  return tuple(shape)


def _stored(
  high: np.ndarray, views: Sequence[np.ndarray] | None, shape: tuple[int, int], levels: int
) -> Iterator[np.ndarray]:
  """Sharp maps of all windows: `views`, or crops of `high`."""
  count = windows.count(levels)
  if views is None:
    full = maps.resized(maps.normalise(high, 'high').values, shape)
    numbers = range(1, levels + 1)
    views = [full[box.slices] for level in numbers for box in windows.grid(shape, level)]
  if len(views) != count:
    raise ValueError(f'there are {len(views)} views; {levels} levels have {count} windows')
  return (np.asarray(view, np.float32) for view in views)


def _predicted(
  photo: np.ndarray,
  predictor: Predict,
  current: np.ndarray,
  found: Sequence[windows.Window],
  settings: Settings,
  done: Callable[[], None],
) -> list[np.ndarray]:
  """Sharp maps of the windows of a level, from the predictor."""
  wanted = resolutions.by_edges(current, found, settings.predictor_size)
  result = {}
  # Sorted by resolution, so that the predictor changes its input size as rarely as possible.
  for i in sorted(range(len(found)), key=lambda i: wanted[i]):
    result[i] = resolutions.predict(predictor, photo[found[i].slices], wanted[i])
    done()
  return [result[i] for i in range(len(found))]


def _refined(
  refiner: Refiner,
  current: np.ndarray,
  sharp: Sequence[np.ndarray],
  found: Sequence[windows.Window],
  settings: Settings,
  done: Callable[[], None],
) -> np.ndarray:
  """Refines the windows of a level and blends them into the disparity [h w 1] one by one.

  `sharp` has a sharp map of any size for each window; `settings` has the `input_size`.
  """
  square = (settings.input_size, settings.input_size)
  low = np.stack([maps.resized(current[window.slices], square) for window in found])
  sharp = np.stack([maps.resized(x, square) for x in sharp])
  result = current.copy()
  fused = refine_lib.fuse(refiner, low, sharp, settings.batch_size, ensemble=settings.ensemble)
  for window, values in zip(found, fused, strict=True):
    size = (window.height, window.width)
    part = result[window.slices]
    part += windows.feather(size)[..., None] * (maps.resized(values, size, cv2.INTER_CUBIC) - part)
    done()
  return result
