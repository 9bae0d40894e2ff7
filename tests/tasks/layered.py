"""Records of three flat layers of noise, on the left third, on two thirds, and the background."""

import functools

import jax
import numpy as np

from depthjax.tasks.task import Env

SIZE, PAD = 32, 8
DISPARITY = (0.6, 0.5, 0.4)
ENV = Env(lambda function: functools.partial(jax.lax.map, function))  # vmap compiles slower.


def record(disparity=DISPARITY, alphas=(255, 255), **fields):
  """A record through a full aperture with the focus on the middle layer."""
  size = SIZE + 2 * PAD
  layers = np.random.default_rng(0).integers(30, 220, (3, size, size, 4), np.uint8)
  ends = np.reshape([SIZE // 3, 2 * SIZE // 3, size], (3, 1, 1)) + PAD
  layers[..., 3] = np.where(np.arange(size) < ends, np.reshape([*alphas, 255], (3, 1, 1)), 0)
  lens = {'focus': 0.5, 'aperture': 1.0, 'blades': 0, 'rotation': 0.0, 'highlight': 1.0, 'index': 0}
  return {
    'layers': layers,
    'planes': np.float32([(d, 0, 0) for d in disparity]),
    'observed': layers[:, PAD:-PAD, PAD:-PAD, 3],
    **lens,
    **fields,
  }


def batch(*records):
  """Two records, or one twice, so that there is one compilation."""
  rows = (records * 2)[:2]
  kinds = {'index': np.uint32, 'blades': np.int32, 'layers': np.uint8, 'observed': np.uint8}
  return {x: np.array([row[x] for row in rows], kinds.get(x, np.float32)) for x in rows[0]}


def thirds(x):
  """A pixel of the left, the middle and the right third of each map: [n 3]."""
  return np.asarray(x).reshape(-1, SIZE, SIZE)[:, 5, [3, 15, 28]]
