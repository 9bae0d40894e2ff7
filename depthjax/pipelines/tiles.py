"""Tiles of equal shape that cover a frame: one compiled program serves all of them."""

from typing import NamedTuple


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
