"""Refinement networks for tests: a tiny one with its weights, and stubs."""

import functools
from typing import NamedTuple

import jax
import numpy as np

from depthjax.files import weights
from depthjax.models.refinement import refiners
from depthjax.pipelines.refine.refine import Refiner

SIZE = 128
FIELDS = {
  'stem': [4, 8, 8],
  'widths': [8, 16, 40, 16],
  'depths': [1, 1, 1, 1],
  'attention': 1,
  'drop': 0.1,
  'remat': False,
  'dtype': 'float32',
}


@functools.cache
def tiny() -> Refiner:
  """The real network, tiny, with random variables; its output depends on all inputs."""
  model = refiners.network(FIELDS)
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(functools.partial(refiners.initial, model))
  draw = lambda x: (0.3 * rng.normal(size=x.shape)).astype(np.float32)  # noqa: E731
  return Refiner(model, jax.tree.map(draw, shapes), SIZE)


def save(path, task='sddr', **fields):
  """Writes the weights of `tiny` as a run does; `fields` are of the config's model."""
  config = {'model': {**FIELDS, **fields}, 'data': {'height': SIZE, 'width': SIZE}}
  return weights.save_weights(path, tiny().variables, {'task': task, 'step': 0, 'config': config})


class Mix(NamedTuple):
  """A stub network: a linear interpolation of both maps, at another scale and offset."""

  fraction: float
  scale: float = 1.0
  offset: float = 0.0

  def apply(self, variables, low, high, train=False, side_outputs=True):
    del variables, train, side_outputs
    fused = low + self.fraction * (high - low)
    return {'fusion': self.scale * fused + self.offset}


def mixing(fraction: float, scale: float = 1.0, offset: float = 0.0) -> Refiner:
  """A refiner with the stub: 0 returns the low map, 1 the high map."""
  return Refiner(Mix(fraction, scale, offset), {}, SIZE)


def smooth(h: int, w: int) -> np.ndarray:
  """A smooth map, the same at any size: float32 [h w 1] in [0, 1]."""
  rows, columns = ((np.arange(size)[:, None] + 0.5) / size for size in (h, w))
  x = 0.5 - 0.25 * np.cos(np.pi * rows) - 0.25 * np.cos(np.pi * columns.T)
  return x.astype(np.float32)[..., None]
