"""Predictions for a photograph of any size from a depth predictor. Shapes: h w of the photo."""

import functools
import os

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from depthjax.files import depth as files
from depthjax.files.errors import InputError
from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors.predictor import Predictor
from depthjax.ops import disparity as disparity_lib
from depthjax.ops import resize
from depthjax.pipelines import maps

_RIGHT = 'another photograph, predictor or a depth map'


def predict(photo: np.ndarray, predictor: Predictor, input_size: int | None = None) -> np.ndarray:
  """Normalised disparity of a photograph: 0 is the farthest pixel, 1 the nearest.

  The photograph is resized to the network's input size and not tiled, because the order of depths
  depends on the global context.

  Args:
    photo: sRGB in [0, 1], [h w 3].
    predictor: a predictor with its variables, see predictors.load.
    input_size: network input size in pixels; default: the size used in training.

  Returns:
    float32 [h w 1]; zeros where the predicted disparity is constant.

  Raises:
    ValueError: the photograph has another shape, or the prediction NaN or infinite values.
  """
  output = predictors.near_large(predictor, network_output(photo, predictor, input_size))
  # Twice: rounding in the resampling makes a constant map uneven, and averaging narrows the range.
  unit = np.asarray(disparity_lib.normalise(output))
  unit = disparity_lib.normalise(_resized(unit, photo.shape[:2], predictor))
  return np.clip(np.asarray(unit), 0, 1)


def measure(photo: np.ndarray, predictor: Predictor, input_size: int | None = None) -> np.ndarray:
  """The predictor's own values, in metres if predictor.metric: depth or disparity by its `output`.

  Arguments and errors as in `predict`; returns float32 [h w 1].
  """
  return _resized(network_output(photo, predictor, input_size), photo.shape[:2], predictor)


def predict_map(
  photo: np.ndarray,
  predictor: Predictor,
  input_size: int | None = None,
  *,
  percentiles: tuple[float, float] | None = None,
  name: str | os.PathLike = 'the photograph',
) -> files.Depth:
  """Predicts a depth map as files.depth.read_depth would read it from a file.

  `raw` is depth in metres if predictor.metric, else normalised disparity. So infinitely far pixels
  and outliers are treated as in files, see files.depth.normalise.

  Args:
    photo, predictor, input_size: as in `predict`.
    percentiles: as in files.depth.normalise.
    name: the photograph, for messages.

  Raises:
    InputError: the prediction is constant, or has NaN, infinite or no valid values.
    ValueError: an invalid input size.
  """
  predictors.frame(predictor, photo.shape[:2], input_size)  # Its errors do not name the photograph.
  convention = 'depth' if predictor.metric else 'disparity'
  try:
    if predictor.metric:
      raw = measure(photo, predictor, input_size)
      if predictor.output == 'disparity':
        raw = np.where(raw > 0, 1 / np.where(raw > 0, raw, 1), np.inf)
    else:
      raw = predict(photo, predictor, input_size)
    fields = {'convention': convention, 'percentiles': percentiles, 'name': name}
    return files.normalise(raw[..., 0], **fields)
  except InputError as error:
    wrong = error.wrong.partition(' (')[0]  # Without the value, which may be a normalised one.
    raise InputError(name, f'the predicted {convention} {wrong}', _RIGHT) from error
  except ValueError as error:
    raise InputError(name, str(error).partition(';')[0], _RIGHT) from error


def probability(photo: np.ndarray, segmenter: Predictor) -> np.ndarray:
  """Probability of glass or a mirror at each pixel of a photograph, float32 [h w 1].

  The probability at the network's input size is resized bilinearly. `segmenter` is one of
  predictors.load_segmenter; the photograph and errors are as in `predict`.
  """
  logits = network_output(photo, segmenter)
  return maps.resized(np.asarray(jax.nn.sigmoid(logits)), photo.shape[:2])


def network_output(
  photo: np.ndarray, predictor: Predictor, input_size: int | None = None
) -> np.ndarray:
  """The network's own output at its input size, float32 [h' w' 1]; arguments as in `predict`."""
  return outputs(resized(photo, predictor, input_size)[None], predictor)[0]


def resized(photo: np.ndarray, predictor: Predictor, input_size: int | None = None) -> np.ndarray:
  """A photograph at the network's input size, float32 [h' w' 3]; arguments as in `predict`.

  Raises ValueError: the photograph has another shape.
  """
  if photo.ndim != 3 or photo.shape[-1] != 3 or not photo.size:
    raise ValueError(f'the photograph has the shape {list(photo.shape)}; it must be [h w 3]')
  shape = predictors.frame(predictor, photo.shape[:2], input_size)
  photo = np.asarray(photo, np.float32)
  if predictor.resizing == 'light':
    return np.asarray(resize.photograph(jnp.asarray(photo), shape))
  return np.clip(cv2.resize(photo, shape[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)


def outputs(images: np.ndarray, predictor: Predictor) -> np.ndarray:
  """The network's outputs for images of its input size: [n h' w' 3] -> float32 [n h' w' 1].

  Raises ValueError: NaN or infinite values.
  """
  run = compiled(predictor._replace(variables=None))
  result = np.asarray(run(predictor.variables, images))
  if not np.isfinite(result).all():
    raise ValueError('the predictor returned NaN or infinite values; all must be finite')
  return result


def _resized(output: np.ndarray, shape: tuple[int, int], predictor: Predictor) -> np.ndarray:
  """An output of the network at the size of the photograph, without overshoots."""
  if predictor.resizing == 'light':
    return np.asarray(resize.resample(jnp.asarray(output), shape))
  result = cv2.resize(output[..., 0], shape[::-1], interpolation=cv2.INTER_CUBIC)
  return np.clip(result, output.min(), output.max())[..., None]


@functools.cache
def compiled(predictor: Predictor):
  """A function of variables and images, as `outputs`, compiled once for each input shape."""

  def together(variables, images):
    return predictors.output(predictor, variables, images)

  def in_turn(variables, images):
    return jax.lax.map(lambda image: together(variables, image[None])[0], images)

  def run(variables, images):
    if len(images) == 1:
      return together(variables, images)
    # The features of several images do not fit into the caches of a CPU.
    return jax.lax.platform_dependent(variables, images, cpu=in_turn, default=together)

  return jax.jit(run)
