"""Depth refinement with SDDR in one stage: a consistent and a sharp disparity fused into one.

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
from depthjax.models.refinement import refiners
from depthjax.ops import alignment
from depthjax.ops import disparity as disparity_lib
from depthjax.pipelines import maps
from depthjax.pipelines.refine import local_alignment

# Self-ensemble: (vertical flip, horizontal flip, inversion); each occurs twice in the first four.
_VIEWS = tuple((a, b, a ^ b ^ c) for c in (0, 1) for a in (0, 1) for b in (0, 1))
# Default input size relative to the picture, and its limit: the authors' size for one stage.
_ENLARGED, _LARGEST = 3, 2048
# Default margin: a sharp map may show more range than a blurred one.
MARGIN = 0.02


class Refiner(NamedTuple):
  """A trained refinement network with its variables."""

  model: Any
  variables: dict[str, Any]
  trained_size: int  # Long side of the training pictures, px.
  enlarged: int = 1  # Network input size divided by `trained_size`, in training.


def load(path: str | os.PathLike) -> Refiner:
  """Loads the refiner from a run's folder or a weights.safetensors file.

  Raises:
    files.errors.InputError: the file cannot be read or holds weights of another task.
  """
  (model, *trained), variables = weights.load_network(path, {'sddr': refiners.from_config})
  return Refiner(model, variables, *trained)


def builtin() -> Refiner:
  """Loads the refiner that is part of the package, see docs/models/sddr.md."""
  return load(importlib.resources.files('depthjax') / 'pretrained' / 'sddr.safetensors')


def refine(
  low: np.ndarray,
  high: np.ndarray,
  refiner: Refiner,
  *,
  shape: tuple[int, int] | None = None,
  input_size: int | None = None,
  ensemble: int = 1,
  local: bool = True,
  margin: float = MARGIN,
) -> np.ndarray:
  """Refines in one stage: the depth of `low` with the edges of `high`.

  Args:
    low: consistent disparity, predicted at a low resolution, any range and size [h w 1].
    high: sharp disparity, predicted at a high resolution, any range and size, the same aspect ratio
      within 2 %.
    refiner: see `load`.
    shape: (h, w) of the result; default: that of `high`.
    input_size: both maps are resized to squares of this size for the network, a multiple of 128;
      default: see `default_input_size`.
    ensemble: see `fuse`.
    local: align the result to `low` in local windows (local_alignment.aligned) and not only by one
      scale and offset, as the authors do.
    margin: the network overshoots beside edges; the result is clipped to the range of `low` plus
      this fraction of it at both ends; math.inf does not clip, as the authors.

  Returns:
    float32 [*shape 1], disparity in the units of `low`.

  Raises:
    ValueError: maps that are not [h w 1], not finite or constant; aspect ratios that differ;
      opposite polarity; an input size that is not a multiple of 128; an ensemble not in 1 to 8.
  """
  unit, high = maps.normalise(low, 'low'), maps.normalise(high, 'high').values
  maps.check_pair(unit.values, high)
  shape = shape or high.shape[:2]
  size = default_input_size(refiner, shape) if input_size is None else input_size
  check_input_size(size)
  pair = (maps.resized(x, (size, size))[None] for x in (unit.values, high))
  (fused,) = fuse(refiner, *pair, ensemble=ensemble)
  fused = np.clip(maps.resized(fused, shape), -margin, 1 + margin)
  if local:
    fused = local_alignment.aligned(fused, unit.values, high)
  return unit.restored(fused)


def default_input_size(refiner: Refiner, shape: tuple[int, int], largest: int = _LARGEST) -> int:
  """Network input size for a picture or window of (h, w) pixels.

  Three times the long side: the decoder works at half the input size, so that edges of one pixel
  need a factor of two; a larger factor improves ordinal and metric errors (docs/models/sddr.md). At
  most `largest`, at least the size of the training pictures.
  """
  stride = refiners.stride(refiner.model)
  needed = stride * math.ceil(_ENLARGED * max(shape) / stride)
  return max(refiner.trained_size, min(needed, largest))


def check_input_size(size: int) -> None:
  """Raises ValueError unless the network input size is a positive multiple of 128."""
  if size < 1 or size % refiners.STRIDE:
    raise ValueError(f'the input size is {size}; it must be a multiple of {refiners.STRIDE}')


def fuse(
  refiner: Refiner,
  low: np.ndarray,
  high: np.ndarray,
  batch_size: int | None = None,
  *,
  ensemble: int = 1,
) -> Iterator[np.ndarray]:
  """Applies the network to pairs of maps and aligns each result to its low map.

  Args:
    refiner: see `load`.
    low, high: float32 [n s s 1] of any range; each map is normalised separately.
    batch_size: pairs per call of the network, which bounds memory; default: 1 on CPU, where larger
      batches are not faster, 4 elsewhere.
    ensemble: 1 to 8; the mean over this number of flips and inversions of each pair, slower by the
      same factor (geometric self-ensemble; Timofte et al., CVPR 2016).

  Yields:
    n maps, float32 [s s 1].

  Raises:
    ValueError: an ensemble not in 1 to 8.
  """
  if not 1 <= ensemble <= len(_VIEWS):
    raise ValueError(f'the ensemble has {ensemble} views; it must have 1 to {len(_VIEWS)}')
  run = functools.partial(_compiled(refiner.model), refiner.variables)
  size = min(len(low), batch_size or (1 if jax.default_backend() == 'cpu' else 4))
  for start in range(0, len(low), size):
    pair = [x[start : start + size] for x in (low, high)]
    count = len(pair[0])
    # The last batch is padded, so that one compiled program serves all.
    padding = ((0, size - count), (0, 0), (0, 0), (0, 0))
    pair = [np.pad(x, padding, 'edge') for x in pair]
    views = _VIEWS[:ensemble]
    results = [_view(np.asarray(run(*(_view(x, v) for x in pair))), v) for v in views]
    yield from np.mean(results, 0)[:count]


def _view(x: np.ndarray, view: tuple[int, int, int]) -> np.ndarray:
  """Flips and inverts maps [n s s 1]; applied twice, it returns the input."""
  vertical, horizontal, inverted = view
  x = x[:, :: -1 if vertical else 1, :: -1 if horizontal else 1]
  return -x if inverted else x


def fused(model: Any, variables: Any, low: jax.Array, high: jax.Array) -> jax.Array:
  """Normalises, fuses and aligns maps [b s s 1] of any range: [b s s 1] in the units of `low`."""
  pair = (disparity_lib.normalise(jnp.asarray(x, jnp.float32)) for x in (low, high))
  fusion = model.apply(variables, *pair, train=False, side_outputs=False)['fusion']
  return alignment.align(fusion, low)


@functools.cache
def _compiled(model: Any):
  """`fused`, compiled once for each shape."""
  return jax.jit(functools.partial(fused, model))
