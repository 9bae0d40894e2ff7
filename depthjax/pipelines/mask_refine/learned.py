"""Refinement by a mask with the network of Kim et al. (CVPR 2022), at any size.

The network predicts two complete and smooth layers at its own size. Enlarged, and moved to the
initial map where that is reliable, they are composited by the full-size mask.
"""

import functools
import importlib.resources
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.files import weights
from depthjax.models import layered
from depthjax.ops import resize
from depthjax.pipelines import maps
from depthjax.pipelines.mask_refine import fill
from depthjax.pipelines.mask_refine.masks import Layers


class Network(NamedTuple):
  """A trained network with its variables."""

  model: Any
  variables: dict[str, Any]
  trained_size: int  # Long side of the training maps, px.


def load(path: str | os.PathLike) -> Network:
  """Loads the network of a run's folder or weights file; errors as weights.load_network."""
  (model, size), variables = weights.load_network(path, {'layered': layered.from_config})
  return Network(model, variables, size)


def builtin() -> Network:
  """Loads the network that is part of the package, see docs/models/layered.md."""
  return load(importlib.resources.files('depthjax') / 'pretrained' / 'layered.safetensors')


def layers(
  photo: np.ndarray,
  disparity: np.ndarray,
  mask: np.ndarray,
  network: Network,
  *,
  input_size: int | None = None,
) -> Layers:
  """Both sides of the mask by `predict`, as the prior of `fill.layers`.

  Args:
    photo: sRGB in [0, 1], float32 [h w 3], of any size.
    disparity: near is large, of any range and unit, float32 [h w 1].
    mask: as from `masks.checked`, of the size of the disparity.
    network: see `load`.
    input_size: long side of the network's maps in pixels; default: as in training.

  Raises:
    ValueError: as `fill.layers` and `maps.normalise`.
  """
  prior = predict(photo, disparity, mask, network, input_size)
  return fill.layers(disparity, mask, prior=prior)


def predict(
  photo: np.ndarray,
  disparity: np.ndarray,
  mask: np.ndarray,
  network: Network,
  input_size: int | None = None,
) -> Layers:
  """The network's layers in the units of the disparity; arguments as those of `layers`."""
  unit = maps.normalise(disparity, 'disparity')
  shape = resize.frame(mask.shape[:2], input_size or network.trained_size, layered.STRIDE)
  channels = (photo[..., i : i + 1] for i in range(3))
  image = np.concatenate([maps.resized(x, shape) for x in channels], axis=-1)
  inputs = (image, maps.resized(unit.values, shape), maps.resized(mask, shape))
  result = _compiled(network.model)(network.variables, *(x[None] for x in inputs))
  return Layers(*(unit.restored(maps.resized(np.asarray(x[0]), mask.shape[:2])) for x in result))


@functools.cache
def _compiled(model: layered.Layered):
  """The network, compiled once for each shape."""
  return jax.jit(lambda variables, *maps: model.apply(variables, *map(jnp.asarray, maps)))
