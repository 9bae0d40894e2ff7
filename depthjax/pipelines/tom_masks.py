"""Masks of glass and mirrors in a photograph of any size, by a trained segmenter."""

import os

import jax
import numpy as np

from depthjax.files import weights
from depthjax.models.predictors import segmenter as segmenters
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth, maps


def load(path: str | os.PathLike) -> Predictor:
  """Loads the segmenter of a run of the task 'segment', or of its weights, with its variables.

  Raises InputError: as files.weights.load_network.
  """
  segmenter, variables = weights.load_network(path, segmenters.FROM_CONFIG)
  return segmenter._replace(variables=jax.device_put(variables))


def probability(photo: np.ndarray, segmenter: Predictor) -> np.ndarray:
  """Probability of glass or a mirror at each pixel of a photograph, float32 [h w 1].

  The photograph, sRGB in [0, 1] [h w 3], is resized to the network's input size, and the
  probability back to that of the photograph, bilinearly.

  Raises:
    ValueError: the photograph has another shape, or the logits NaN or infinite values.
  """
  logits = depth.network_output(photo, segmenter)
  return maps.resized(np.asarray(jax.nn.sigmoid(logits)), photo.shape[:2])
