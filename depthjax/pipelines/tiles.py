"""Tiles of equal shape that cover a frame: one compiled program serves all of them."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

# Side of the blocks of `blockwise` in pixels.
_BLOCK = 256


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


def corners(shape: tuple[int, ...], core: int) -> Iterator[tuple[int, int]]:
  """First row and column of each of the tiles of core x core pixels that cover [h w ...]."""
  return itertools.product(*(range(0, n, core) for n in shape[:2]))


def window(
  x: np.ndarray, corner: tuple[int, int], core: int, margin: int = 0, **padding: Any
) -> np.ndarray:
  """A tile of an array [h w c] with a margin: [core + 2 margin, core + 2 margin, c].

  `padding` are arguments of np.pad for what is outside the array; default: zeros.
  """
  size = core + 2 * margin
  starts = [start - margin for start in corner]
  part = x[*(slice(max(start, 0), start + size) for start in starts)]
  before = [max(-start, 0) for start in starts]
  after = [size - n - m for n, m in zip(part.shape, before, strict=False)]
  return np.pad(part, (*zip(before, after, strict=True), (0, 0)), **padding)


def blockwise(
  function: Callable[..., Any], *arrays: np.ndarray, factor: int = 1
) -> tuple[np.ndarray, ...]:
  """Applies a function of single pixels, or of factor x factor ones, to blocks of constant shape.

  Args:
    function: from arrays [n n c] to a tuple of arrays [n/factor n/factor c].
    arrays: each [h w c], h and w multiples of `factor`.
    factor: a power of two up to 256.

  Returns:
    The results for the full arrays [h/factor w/factor c], float32.
  """
  h, w = (n // factor for n in arrays[0].shape[:2])
  results = None
  for corner in corners(arrays[0].shape, _BLOCK):
    blocks = function(*(window(x, corner, _BLOCK, mode='edge') for x in arrays))
    if results is None:
      results = tuple(np.empty((h, w, x.shape[-1]), np.float32) for x in blocks)
    row, column = (start // factor for start in corner)
    for result, block in zip(results, blocks, strict=True):
      part = result[row : row + _BLOCK // factor, column : column + _BLOCK // factor]
      part[:] = np.asarray(block)[: part.shape[0], : part.shape[1]]
  return results
