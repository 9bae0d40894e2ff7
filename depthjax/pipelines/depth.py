"""Predictions for a photograph of any size from a depth predictor. Shapes: h w of the photo."""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors.predictor import Predictor
from depthjax.ops import disparity as disparity_lib
from depthjax.ops import resize


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
  output = predictors.near_large(predictor, _output(photo, predictor, input_size))
  # Twice: rounding in the resampling makes a constant map uneven, and averaging narrows the range.
  unit = np.asarray(disparity_lib.normalise(output))
  unit = disparity_lib.normalise(_resized(unit, photo.shape[:2], predictor))
  return np.clip(np.asarray(unit), 0, 1)


def measure(photo: np.ndarray, predictor: Predictor, input_size: int | None = None) -> np.ndarray:
  """The predictor's own values, in metres if predictor.metric: depth or disparity by its `output`.

  Arguments and errors as in `predict`; returns float32 [h w 1].
  """
  return _resized(_output(photo, predictor, input_size), photo.shape[:2], predictor)


def _output(photo: np.ndarray, predictor: Predictor, input_size: int | None) -> np.ndarray:
  """The network's output at its input size, float32 [h' w' 1]."""
  if photo.ndim != 3 or photo.shape[-1] != 3 or not photo.size:
    raise ValueError(f'the photograph has the shape {list(photo.shape)}; it must be [h w 3]')
  shape = predictors.frame(predictor, photo.shape[:2], input_size)
  photo = np.asarray(photo, np.float32)
  if predictor.resizing == 'light':
    image = resize.photograph(jnp.asarray(photo), shape)
  else:
    image = np.clip(cv2.resize(photo, shape[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)
  run = _compiled(predictor._replace(variables=None))
  output = np.asarray(run(predictor.variables, image[None])[0])
  if not np.isfinite(output).all():
    raise ValueError('the predictor returned NaN or infinite values; all must be finite')
  return output


def _resized(output: np.ndarray, shape: tuple[int, int], predictor: Predictor) -> np.ndarray:
  """An output of the network at the size of the photograph, without overshoots."""
  if predictor.resizing == 'light':
    return np.asarray(resize.resample(jnp.asarray(output), shape))
  result = cv2.resize(output[..., 0], shape[::-1], interpolation=cv2.INTER_CUBIC)
  return np.clip(result, output.min(), output.max())[..., None]


@functools.cache
def _compiled(predictor: Predictor):
  """The network, compiled once for each input shape."""
  return jax.jit(functools.partial(predictors.output, predictor))
