"""Depth refinement by SDDR on maps of any size: one consistent disparity, one sharp, into one.

Source: Li et al., Self-Distilled Depth Refinement with Noisy Poisson Fusion (NeurIPS 2024).
"""

import functools
import importlib.resources
import math
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.files import weights
from depthjax.files.errors import InputError
from depthjax.models.refinement import refiners
from depthjax.ops import alignment
from depthjax.ops import disparity as disparity_lib
from depthjax.pipelines import maps
from depthjax.pipelines.refine import local_alignment

# Ways to show the network a pair: upside down, mirrored, near for far. The first half has each of
# them as often as not.
_VIEWS = tuple((a, b, a ^ b ^ c) for c in (0, 1) for a in (0, 1) for b in (0, 1))
# The side of a network's maps over the picture's, and that of the authors' network in one stage.
_ENLARGED, _LARGEST = 3, 2048


class Refiner(NamedTuple):
  """A trained refinement network, its variables, and how it was trained.

  Fields:
    side: of the pictures, px.
    enlarged: how many times larger the network saw them.
  """

  model: Any
  variables: dict[str, Any]
  side: int
  enlarged: int = 1


def load(path: str | os.PathLike) -> Refiner:
  """The refiner of a run's folder or its weights.safetensors.

  Raises:
    files.errors.InputError: the file cannot be read or is of another task.
  """
  (model, *trained), variables = weights.load_network(path, {'sddr': refiners.from_config})
  return Refiner(model, variables, *trained)


def builtin() -> Refiner:
  """The refiner that ships with the package.

  Raises:
    files.errors.InputError: this version ships without.
  """
  path = importlib.resources.files('depthjax') / 'pretrained' / 'sddr.safetensors'
  if not path.is_file():
    right = 'weights of a run: --weights=runs/sddr'
    raise InputError(path, 'does not come with this version of depthjax', right)
  return load(path)


def refine(
  low: np.ndarray,
  high: np.ndarray,
  refiner: Refiner,
  *,
  shape: tuple[int, int] | None = None,
  side: int | None = None,
  nearest: bool = False,
  ensemble: int = 1,
  local: bool = True,
) -> np.ndarray:
  """One stage: the consistent depth of `low` with the edges of `high`.

  Args:
    low: disparity that a predictor sees at a low resolution, of any range and size [h w 1].
    high: what it sees at a high one: another range and size, the same aspect ratio within 2 %.
    refiner: as `load` gives it.
    shape: (h, w) of the result; that of `high` without.
    side: of the square, in pixels, to which both are brought for the network: a multiple of 128;
      without, as `chosen_side` has it.
    nearest: bring them to it by their nearest pixels, as the authors' program does, instead of
      bilinearly and by means over areas.
    ensemble: as in `fuse`.
    local: fit the result to `low` in windows too (local_alignment.aligned), and not only by one
      scale and offset for the picture, as the authors do.

  Returns:
    float32 [*shape 1]: disparity in the units of `low`.

  Raises:
    ValueError: maps of another shape, not finite or constant, of sizes or signs that don't belong
      together; a side that is no multiple of 128; an ensemble of none or of more than 8.
  """
  unit, high = maps.unit(low, 'low'), maps.unit(high, 'high').values
  maps.check_pair(unit.values, high)
  shape = shape or high.shape[:2]
  side = chosen_side(refiner, shape) if side is None else checked_side(side)
  resize = maps.nearest if nearest else maps.resized
  pair = (resize(x, (side, side))[None] for x in (unit.values, high))
  (fused,) = fuse(refiner, *pair, ensemble=ensemble)
  fused = maps.resized(fused, shape)
  if local:
    fused = local_alignment.aligned(fused, unit.values, high)
  return unit.restored(fused)


def chosen_side(refiner: Refiner, shape: tuple[int, int], largest: int = _LARGEST) -> int:
  """The side of the network's maps for a picture or window of a size (h, w), where none is given.

  Three times the long side: the last features have half the network's resolution, so that edges of
  a pixel need twice, and beyond that orders and values gain (docs/models/sddr.md). Up to `largest`,
  unless the pictures in training were larger; at least their side.
  """
  stride = refiners.stride(refiner.model)
  needed = stride * math.ceil(_ENLARGED * max(shape) / stride)
  return max(refiner.side, min(needed, largest))


def checked_side(side: int) -> int:
  """The side of a network's maps.

  Raises:
    ValueError: it is no positive multiple of 128.
  """
  if side < 1 or side % refiners.STRIDE:
    raise ValueError(f'the side is {side} pixels; it must be a multiple of {refiners.STRIDE}')
  return side


def fuse(
  refiner: Refiner,
  low: np.ndarray,
  high: np.ndarray,
  chunk: int | None = None,
  *,
  ensemble: int = 1,
) -> Iterator[np.ndarray]:
  """The network's disparity of pairs of maps, each in the scale and offset of its low map.

  Args:
    refiner: as `load` gives it.
    low, high: float32 [n s s 1] of any range; each is normalised by itself.
    chunk: how many the network sees at once, which bounds memory; without, one on CPUs, where more
      save no time, and 4 elsewhere.
    ensemble: 1 to 8; the mean over so many flips and inversions of each pair, which takes as many
      times as long (geometric self-ensemble; Timofte et al., CVPR 2016).

  Yields:
    n maps, float32 [s s 1].

  Raises:
    ValueError: an ensemble of none or of more than 8.
  """
  run = functools.partial(_compiled(refiner.model), refiner.variables)
  chunk = min(len(low), chunk or (1 if jax.default_backend() == 'cpu' else 4))
  for start in range(0, len(low), chunk):
    pair = [x[start : start + chunk] for x in (low, high)]
    count = len(pair[0])
    # The last chunk is filled up, so that one compiled program serves all.
    border = ((0, chunk - count), (0, 0), (0, 0), (0, 0))
    pair = [np.pad(x, border, 'edge') for x in pair]
    yield from _mean(run, pair, _VIEWS[: _checked_ensemble(ensemble)])[:count]


def _mean(run: Any, pair: list[np.ndarray], views: tuple[tuple[int, int, int], ...]) -> np.ndarray:
  """What the network says of a pair in all views, each turned back: [n s s 1]."""
  return np.mean([_turned(np.asarray(run(*(_turned(x, v) for x in pair))), v) for v in views], 0)


def _turned(x: np.ndarray, view: tuple[int, int, int]) -> np.ndarray:
  """Maps [n s s 1] in a view, or back from it."""
  down, across, inverted = view
  x = x[:, :: -1 if down else 1, :: -1 if across else 1]
  return -x if inverted else x


def _checked_ensemble(count: int) -> int:
  if not 1 <= count <= len(_VIEWS):
    raise ValueError(f'the ensemble has {count} views; it can have 1 to {len(_VIEWS)}')
  return count


@functools.cache
def _compiled(model: Any):
  """Normalisation, network and alignment of a batch, compiled once for each shape."""

  def run(variables: Any, low: jax.Array, high: jax.Array) -> jax.Array:
    pair = (disparity_lib.normalise(jnp.asarray(x, jnp.float32)) for x in (low, high))
    fusion = model.apply(variables, *pair, train=False, side_outputs=False)['fusion']
    return alignment.align(fusion, low)

  return jax.jit(run)
