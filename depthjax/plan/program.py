"""Parses the HLO text of a compiled program: computations, instructions and arrays."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_BITS = {'pred': 8, 'token': 0, 'opaque': 0, 'c64': 64, 'c128': 128}
_ARRAY = re.compile(r'(\w+)\[([\d,]*)\](?:\{([^}]*)\})?')
_HEADER = re.compile(r'^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$')
_INSTRUCTION = re.compile(r'^\s+(ROOT )?%?([\w.\-]+) = (.*)$')
_NAME = re.compile(r'%([\w.\-]+)')
_TILE = re.compile(r'T\(([\d,]+)\)')


class Array(NamedTuple):
  """Type and size of one array."""

  dtype: str
  shape: tuple[int, ...]
  values: int  # Bytes of its elements.
  size: int  # Bytes in memory, with the padding of the layout's tiles.
  space: int  # 0 is the device's main memory; others are on the chip.


class Instruction(NamedTuple):
  """One instruction."""

  name: str
  arrays: tuple[Array, ...]
  opcode: str
  operands: tuple[str, ...]
  text: str  # Inside the parentheses.
  attributes: str  # After the parentheses.
  root: bool

  def calls(self, attribute: str) -> str | None:
    """Name of the computation in an attribute such as `calls` or `body`."""
    match = re.search(rf'\b{attribute}=%?([\w.\-]+)', self.attributes)
    return match and match[1]


# Instructions of a computation by name, in order.
Computation = dict[str, Instruction]


class Program(NamedTuple):
  """Computations by name, and the name of the entry computation."""

  computations: dict[str, Computation]
  entry: str

  def fused(self, fusion: Instruction) -> Computation:
    """The computation of a fusion."""
    return self.computations[fusion.calls('calls')]


def root(computation: Computation) -> Instruction:
  """The instruction whose value a computation returns."""
  return next(one for one in computation.values() if one.root)


def completion(start: Instruction, computation: Computation) -> Instruction:
  """The `-done` of an asynchronous `-start`; `start` itself where there is none."""
  done = f'{start.opcode.removesuffix("-start")}-done'
  found = (x for x in computation.values() if x.opcode == done and start.name in x.operands)
  return next(found, start)


def parse(text: str) -> Program:
  """Parses `compiled.as_text()`.

  Raises ValueError: the text has no ENTRY computation.
  """
  computations, entry, current = {}, None, None
  for line in text.splitlines():
    header = _HEADER.match(line)
    if header:
      current = computations.setdefault(header[2], {})
      entry = header[2] if header[1] else entry
      continue
    instruction = _INSTRUCTION.match(line)
    if instruction and current is not None:
      current[instruction[2]] = _instruction(instruction)
  if entry is None:
    raise ValueError('no ENTRY computation: not the text of a compiled program')
  return Program(computations, entry)


def _instruction(match: re.Match) -> Instruction:
  rest = match[3]
  end = _closing(rest, 0) + 1 if rest.startswith('(') else rest.index(' ')
  kind, rest = rest[:end], rest[end:].strip()
  opens = rest.index('(')
  closes = _closing(rest, opens)
  inside = rest[opens + 1 : closes]
  return Instruction(
    name=match[2],
    arrays=tuple(arrays(kind)),
    opcode=rest[:opens],
    operands=tuple(_NAME.findall(inside)),
    text=inside,
    attributes=rest[closes + 1 :],
    root=bool(match[1]),
  )


def _closing(text: str, start: int) -> int:
  """Index of the parenthesis that closes the one at `start`."""
  depth = 0
  for at in range(start, len(text)):
    depth += (text[at] == '(') - (text[at] == ')')
    if depth == 0:
      return at
  raise ValueError(f'unbalanced brackets in {text[:60]!r}')


def arrays(kind: str) -> Iterator[Array]:
  """The arrays of a type, or of all elements of a tuple type."""
  for dtype, shape, layout in _ARRAY.findall(kind):
    shape = tuple(map(int, filter(None, shape.split(','))))
    bits = _BITS[dtype] if dtype in _BITS else int(re.search(r'\d+', dtype)[0])
    space = re.search(r'S\((\d+)\)', layout)
    yield Array(
      dtype,
      shape,
      values=math.prod(shape) * bits // 8,
      size=math.prod(_padded(shape, layout)) * bits // 8,
      space=int(space[1]) if space else 0,
    )


def _padded(shape: tuple[int, ...], layout: str) -> list[int]:
  """The shape with its minor dimensions padded to multiples of the tile, as on a TPU."""
  padded, tile = list(shape), _TILE.search(layout)
  if tile and shape:
    order = [int(axis) for axis in re.findall(r'\d+', layout.partition(':')[0])]
    for axis, length in zip(order, reversed(tile[1].split(',')), strict=False):
      padded[axis] = -(-padded[axis] // int(length)) * int(length)
  return padded
