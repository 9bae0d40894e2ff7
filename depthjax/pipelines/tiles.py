"""Tiles of equal shape that cover a frame: one compiled program serves all of them."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

# Side of the blocks of `blockwise` in pixels.
_BLOCK = 512


class Span(NamedTuple):
  """One tile along one axis: its result is [start, stop), its input starts at `outer`.

  All spans of an axis have the same result length and the same input length.
  """

  start: int
  stop: int
  outer: int


def spans(length: int, core: int, before: int, after: int, multiple: int = 1) -> list[Span]:
  """Covers an axis with spans whose inputs lie within the frame.

  The input of a tile at the frame's border ends at the border, so that an operation treats it as in
  the full frame. An axis no longer than one tile's input is a single span.

  Args:
    length: of the axis, a positive multiple of `multiple`.
    core: result length of a tile, a multiple of `multiple`.
    before, after: input needed on either side of the result, multiples of `multiple`.
    multiple: all spans start at multiples of it.

  Raises:
    ValueError: a length that is not such a multiple.
  """
  if any(n % multiple for n in (length, core, before, after)) or min(length, core) < 1:
    raise ValueError(f'{length}, {core}, {before}, {after}: not all multiples of {multiple}')
  size = core + before + after
  if length <= size:
    return [Span(0, length, 0)]
  starts = [min(start, length - core) for start in range(0, length, core)]
  return [Span(s, s + core, min(max(s - before, 0), length - size)) for s in starts]


def corners(shape: tuple[int, ...], core: int) -> list[tuple[int, int]]:
  """First row and column of each of the tiles of core x core pixels that cover [h w ...]."""
  return list(itertools.product(*(range(0, n, core) for n in shape[:2])))


def window(
  x: np.ndarray, corner: Sequence[int], core: int, margin: int = 0, **padding: Any
) -> np.ndarray:
  """A tile of [h w c] with a margin: [core + 2 margin, core + 2 margin, c].

  Pixels outside the array are 0, or as np.pad makes them with the arguments `padding`.
  """
  starts, size = [start - margin for start in corner], core + 2 * margin
  part = x[*(slice(max(start, 0), start + size) for start in starts)]
  before = [max(-start, 0) for start in starts]
  after = [size - n - m for n, m in zip(part.shape, before, strict=False)]
  return np.pad(part, (*zip(before, after, strict=True), (0, 0)), **padding)


def put(result: np.ndarray, corner: Sequence[int], tile: jax.Array) -> None:
  """Writes a tile into an array [h w c], up to its borders."""
  part = result[*(slice(a, a + n) for a, n in zip(corner, tile.shape, strict=False))]
  part[:] = np.asarray(tile)[: part.shape[0], : part.shape[1]]


def blockwise(function: Callable[..., Any], *arrays: np.ndarray, **padding: Any) -> Any:
  """Applies a function to blocks of constant shape, so that one program serves all sizes.

  Args:
    function: from arrays [512 512 c] to arrays [512/n 512/n c'] that depend on blocks of n x n
      pixels; the results may have different n.
    arrays: each [h w c].
    padding: outside of the arrays, see np.pad; default: replicated.

  Returns:
    The results [ceil(h/n) ceil(w/n) c'], float32, in the structure that `function` returns.
  """
  shape, results = arrays[0].shape[:2], None

  def empty(block):
    return np.empty((*(-(-n * len(block) // _BLOCK) for n in shape), block.shape[-1]), np.float32)

  for corner in corners(shape, _BLOCK):
    parts = (window(x, corner, _BLOCK, **(padding or {'mode': 'edge'})) for x in arrays)
    blocks = function(*parts)
    results = jax.tree.map(empty, blocks) if results is None else results
    for result, block in zip(jax.tree.leaves(results), jax.tree.leaves(blocks), strict=True):
      put(result, [start * len(block) // _BLOCK for start in corner], block)
  return results
