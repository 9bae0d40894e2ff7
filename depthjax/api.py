"""The functions of photographs and maps: arrays in, arrays out, as the commands do with files.

Photographs are sRGB, [h w 3] of any size: uint8, uint16, or floats in [0, 1]. Maps are [h w] or
[h w 1]. Every function raises files.errors.Error: one line that says what is wrong and what would
be right. docs/api.md has an example of each.
"""

import contextlib
import functools
import logging
import operator
import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from depthjax.data import colours
from depthjax.files import depth as depth_files
from depthjax.files import masks as mask_files
from depthjax.files.depth import of_array
from depthjax.files.errors import Error
from depthjax.models.predictors import catalogue
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import predictors as predictors_lib
from depthjax.pipelines import virtual_labels
from depthjax.pipelines.mask_refine import learned as layered_lib
from depthjax.pipelines.mask_refine import refine as mask_refine_lib
from depthjax.pipelines.refine import refine as refine_lib
from depthjax.pipelines.refine import resolutions, two_stage
from depthjax.pipelines.refocus import lens as lens_lib
from depthjax.pipelines.refocus import refocus as refocus_lib

Path = str | os.PathLike
_METHODS = ('hybrid', 'learned', 'classical')
# Loaded once.
_lensblur, _sddr = functools.cache(refocus_lib.builtin), functools.cache(refine_lib.builtin)
_layered = functools.cache(layered_lib.builtin)
_log = logging.getLogger(__name__)


class Prediction(NamedTuple):
  """What a predictor says about a photograph of h x w pixels."""

  disparity: np.ndarray  # float32 [h w 1]: 0 is the farthest pixel, 1 the nearest.
  depth: np.ndarray | None  # In metres, float32 [h w 1]; None if the predictor is not metric.


@contextlib.contextmanager
def _errors() -> Iterator[None]:
  """Turns exceptions about wrong values and types into Errors with the same message."""
  try:
    yield
  except Error:
    raise
  except (ValueError, TypeError) as error:
    raise Error(' '.join(str(error).splitlines())) from error


@_errors()
def load_predictor(which: Path = catalogue.DEFAULT) -> Predictor:
  """Loads a depth predictor with its variables, once for many photographs.

  `which` is a name, see `depthjax predictors`, whose weights are downloaded if they are missing; a
  run's folder; a weights file of depthjax; or a folder as on the Hugging Face Hub.
  """
  return predictors_lib.load(which)


@_errors()
def predict_depth(
  photo: ArrayLike,
  predictor: Path | Predictor = catalogue.DEFAULT,
  *,
  input_size: int | None = None,
) -> Prediction:
  """Predicts the disparity of a photograph, and its depth if the predictor is metric.

  `predictor` is that of `load_predictor`, or its argument; `input_size` is that of the network in
  pixels, default: as in training.
  """
  image, loaded = _photo(photo), _loaded(predictor)
  found = depth_lib.predict_map(image, loaded, input_size)
  return Prediction(found.disparity, found.raw[..., None] if loaded.metric else None)


@_errors()
def refocus(
  photo: ArrayLike,
  disparity: ArrayLike | None = None,
  *,
  predictor: Path | Predictor | None = None,
  focus: float | Sequence[int] | None = None,
  aperture: float | None = None,
  radius: float | None = None,
  method: Literal['hybrid', 'learned', 'classical'] = 'hybrid',
  weights: Path | None = None,
  highlights: float = 1.0,
  blades: int = 0,
  convention: Literal['disparity', 'depth', 'inverted'] = 'disparity',
) -> np.ndarray:
  """Blurs a photograph by its depth, as a lens with a wide aperture would.

  Args:
    photo: [h w 3].
    disparity: any range, as `convention` says, NaN where missing; default: predicted.
    predictor: as in `predict_depth`, instead of a disparity; default: its default.
    focus: a disparity from 0 (far) to 1 (near), a pixel (x, y), or a box (x0, y0, x1, y1), the ends
      exclusive; default: the middle of the picture.
    aperture: from 0 (closed) to 1 (wide open); default 0.5.
    radius: instead, the blur radius in pixels of the farthest point when the nearest is in focus.
    method: the renderer; hybrid is learned near depth edges, else classical.
    weights: a run or file for the learned renderer; default: built in.
    highlights: factor, at least 1, by which clipped lamps out of focus become brighter.
    blades: corners of the aperture; 0 is round. Not for 'learned'.
    convention: of `disparity`: near is large, or far is large, with distances or without.

  Returns:
    sRGB float32 [h w 3] in [0, 1].
  """
  image = _photo(photo)
  if method not in _METHODS:
    raise Error(f'method is {method!r}; it can be {", ".join(_METHODS)}')
  fields: dict[str, Any] = {'convention': convention, 'shape': image.shape[:2]}
  scene = _depth(image, disparity, predictor, **fields).disparity
  learned = None
  if method == 'classical' and weights is not None:
    raise Error('weights are given, which the classical method does not use; omit one of them')
  if method != 'classical':
    learned = _lensblur() if weights is None else refocus_lib.load(weights)
  lens = lens_lib.lens(scene, focus=focus, aperture=aperture, radius=radius, learned=learned)
  fields = {'learned': learned, 'hybrid': method == 'hybrid'}
  fields |= {'highlights': highlights, 'blades': blades}
  return refocus_lib.refocus(image, scene, focus=lens.focus, radius=lens.radius, **fields)


@_errors()
def refine(
  low: ArrayLike | None = None,
  high: ArrayLike | None = None,
  *,
  photo: ArrayLike | None = None,
  predictor: Path | Predictor | None = None,
  weights: Path | None = None,
  stages: int = 1,
  ensemble: int = 1,
  input_size: int | None = None,
) -> np.ndarray:
  """Gives a disparity map the edges of a sharper one.

  Args:
    low: consistent disparity of any range; default: predicted.
    high: sharp disparity of any range; default: predicted, or `low` without a predictor.
    photo: [h w 3], the predictor's input; the result has its size.
    predictor: as in `predict_depth`; it needs the photo.
    weights: a run or file for the refinement network; default: built in.
    stages: 1: the picture; 2: also its windows.
    ensemble: 1 to 8; the mean over this number of flips and inversions.
    input_size: of the network, a multiple of 128; default: 3x the long side, at most 2048.

  Returns:
    float32, disparity in the units of `low`: [h w 1], the size of the photo, otherwise of `high`.
  """
  predicts = predictor is not None
  for wrong, message in (
    (predicts and high is not None, 'high and predictor are both given; give one of them'),
    (predicts and photo is None, 'predictor has no input; give photo'),
    (low is None and not predicts, 'low is missing; give low, or photo and predictor'),
    (stages not in (1, 2), f'stages is {stages}; it must be 1 or 2'),
  ):
    if wrong:
      raise Error(message)
  image = None if photo is None else _photo(photo)
  shape = None if image is None else image.shape[:2]
  input_size = input_size and operator.index(input_size)
  fields: dict[str, Any] = {'input_size': input_size, 'ensemble': operator.index(ensemble)}
  predict = size = None
  if predicts:
    loaded = _loaded(predictor)
    predict, size = two_stage.of_predictor(loaded), loaded.input_size
    low = predict_depth(image, loaded).disparity if low is None else low
    finer = min(2 * size, resolutions.LARGEST)
    high = predict_depth(image, loaded, input_size=finer).disparity
  low, high = of_array(low, 'low'), of_array(low if high is None else high, 'high')
  if shape:
    depth_files.needs_resize('low', low.shape[:2], shape)
  refiner = _sddr() if weights is None else refine_lib.load(weights)
  if stages == 1:
    return refine_lib.refine(low, high, refiner, shape=shape, **fields)
  settings = two_stage.Settings(predictor_size=size, **fields)
  fields = {'photo': image, 'predictor': predict, 'settings': settings}
  return two_stage.refine(low, high, refiner, shape=shape, **fields)


@_errors()
def mask_refine(
  photo: ArrayLike,
  disparity: ArrayLike | None,
  mask: ArrayLike | Sequence[ArrayLike],
  *,
  predictor: Path | Predictor | None = None,
  method: Literal['learned', 'fill'] = 'learned',
  weights: Path | None = None,
  soft: bool = False,
  invert: bool = False,
  convention: Literal['disparity', 'depth', 'inverted'] = 'disparity',
) -> np.ndarray:
  """Gives a depth map the edge of an object's mask; the rest does not change.

  Args:
    photo: [h w 3].
    disparity: of any size and range, as `convention` says, NaN where missing; None: predicted.
    mask: 1 inside the object, bool or in [0, 1], or uint8 or uint16 up to full scale, of any
      size; or a list of masks, one for each object, in any order.
    predictor: as in `predict_depth`, with disparity None; default: its default.
    method: both sides of the border by a network, or filled from pixels well inside them.
    weights: a run or file for the network; default: built in.
    soft: blend by the mask, instead of separating it at one half.
    invert: masks are 1 around their objects.
    convention: as in `refocus`.

  Returns:
    float32 [h w 1], size and values as those of `disparity`; if predicted, as Prediction.disparity,
    or in metres if the predictor is metric.
  """
  image = _photo(photo)
  if method not in ('learned', 'fill'):
    raise Error(f'method is {method!r}; it can be learned, fill')
  if method == 'fill' and weights is not None:
    raise Error('weights are given, which the method fill does not use; omit one of them')
  read = _depth(image, disparity, predictor, convention=convention)
  depth_files.needs_resize('disparity', read.raw.shape, image.shape[:2])
  given = mask if isinstance(mask, list | tuple) else [mask]
  if not given:
    raise Error('the list of masks is empty; give at least one mask')
  given = {f'mask {i}': mask_files.fraction(x) for i, x in enumerate(given)}
  network = None
  if method == 'learned':
    network = _layered() if weights is None else layered_lib.load(weights)
  result = mask_refine_lib.refine(image, read, given, network, soft=soft, invert=invert)
  for name in result.farther:
    _log.warning('%s: marks the farther side; if it should be the nearer one, change invert', name)
  return result.raw[..., None]


@_errors()
def virtual_label(
  photo: ArrayLike,
  mask: ArrayLike,
  predictor: Path | Predictor = catalogue.DEFAULT,
  *,
  passes: int = 5,
  seed: int = 0,
  name: str = '',
) -> np.ndarray:
  """Predicts the disparity of a photograph [h w 3] whose glass and mirrors are painted.

  They are where `mask` [h w] is above 0. Returns the median over `passes` flat colours, in the
  units and at the input size of the predictor, float32 [h' w' 1]. Colours depend on `seed` and
  `name`, in `depthjax tom-labels` the photograph's file name without extension; one is grey.
  """
  image, inside = _photo(photo), of_array(mask_files.fraction(mask), 'mask')[..., 0]
  if inside.shape != image.shape[:2] or passes < 1:
    wrong = f'mask has the shape {list(inside.shape)} and passes is {passes}'
    raise Error(f'{wrong}; they must be {list(image.shape[:2])}, as the photo, and at least 1')
  drawn = colours.of_name(seed, name, passes)
  return virtual_labels.label(image, virtual_labels.regions(inside), drawn, _loaded(predictor))


def _loaded(predictor: Path | Predictor) -> Predictor:
  return predictor if isinstance(predictor, Predictor) else predictors_lib.load(predictor)


def _depth(
  image: np.ndarray, values: ArrayLike | None, predictor: Path | Predictor | None, **fields: Any
) -> depth_files.Depth:
  """A depth map that is given, with fields of files.depth.normalise; or predicted if it is None."""
  if values is None:
    which = catalogue.DEFAULT if predictor is None else predictor
    return depth_lib.predict_map(image, _loaded(which))
  if predictor is not None:
    raise Error('disparity and predictor are both given; give one of them')
  return depth_files.normalise(of_array(values, 'disparity')[..., 0], name='disparity', **fields)


def _photo(values: ArrayLike) -> np.ndarray:
  """A photograph as float32 [h w 3] in [0, 1]."""
  photo = np.asarray(values)
  if photo.ndim != 3 or photo.shape[-1] != 3 or not photo.size:
    raise Error(f'photo has the shape {list(photo.shape)}; it must be [h w 3]')
  if photo.dtype.kind == 'u' and photo.itemsize <= 2:  # In either byte order.
    return photo.astype(np.float32) / np.iinfo(photo.dtype).max
  if photo.dtype.kind != 'f':
    raise Error(f'photo is of type {photo.dtype}; it must be uint8, uint16 or floats in [0, 1]')
  low, high = photo.min(), photo.max()
  if not 0 <= low <= high <= 1:
    raise Error(f'photo has values from {low:g} to {high:g}; floats must be in [0, 1]')
  return photo.astype(np.float32)
