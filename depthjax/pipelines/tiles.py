"""Cutting a frame into tiles of one shape, so that one compiled program serves all of them."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple


class Span(NamedTuple):
  """Along one axis: a result from `start` to `stop`, the input it needs from `outer`.

  All spans of an axis have the same length of result and the same length of input.
  """

  start: int
  stop: int
  outer: int


def spans(length: int, core: int, before: int, after: int, multiple: int = 1) -> list[Span]:
  """Covers an axis; the input of a span lies within the frame, where it ends with the frame.

  So whatever an operation does at the border of the frame, it does to the tiles at the border too.
  Where the whole axis is no longer than the input of one tile, it is one.

  Args:
    length: of the axis, a positive multiple of `multiple`.
    core: length of the result of a tile, a multiple of `multiple`.
    before: how much input before its result a tile needs, a multiple of `multiple`.
    after: how much input after its result it needs, a multiple of `multiple`.
    multiple: all spans begin at multiples of it.

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


def tiles(rows: list[Span], columns: list[Span]) -> Iterator[tuple[Span, Span]]:
  """All tiles of a frame, row by row."""
  return itertools.product(rows, columns)
