"""A compiled program as the compiler prints it: computations, their instructions, arrays."""

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
  """One array.

  Fields:
    values: bytes of its elements.
    size: bytes as laid out, tiles filled up.
    space: 0 is the device's main memory; others are those on the chip.
  """

  dtype: str
  shape: tuple[int, ...]
  values: int
  size: int
  space: int


class Instruction(NamedTuple):
  """One line of a computation. `attributes` is the text after the operands."""

  name: str
  arrays: tuple[Array, ...]
  opcode: str
  operands: tuple[str, ...]
  text: str
  attributes: str
  root: bool

  def calls(self, attribute: str) -> str | None:
    """The computation that an attribute such as `calls` or `body` names."""
    match = re.search(rf'\b{attribute}=%?([\w.\-]+)', self.attributes)
    return match and match[1]


class Program(NamedTuple):
  """Computations by name, each its instructions by name, in order; and the name of the first."""

  computations: dict[str, dict[str, Instruction]]
  entry: str


def parse(text: str) -> Program:
  """The program of a compiler's text, such as `compiled.as_text()`.

  Raises:
    ValueError: there is no program in it.
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
  """The place of the bracket that closes the one at `start`."""
  depth = 0
  for at in range(start, len(text)):
    depth += (text[at] == '(') - (text[at] == ')')
    if depth == 0:
      return at
  raise ValueError(f'unbalanced brackets in {text[:60]!r}')


def arrays(kind: str) -> Iterator[Array]:
  """The arrays of a type, of a tuple all."""
  for dtype, shape, layout in _ARRAY.findall(kind):
    shape = tuple(map(int, filter(None, shape.split(','))))
    bits, space = _bits(dtype), re.search(r'S\((\d+)\)', layout)
    yield Array(
      dtype,
      shape,
      values=math.prod(shape) * bits // 8,
      size=math.prod(_filled(shape, layout)) * bits // 8,
      space=int(space[1]) if space else 0,
    )


def _bits(dtype: str) -> int:
  return _BITS[dtype] if dtype in _BITS else int(re.search(r'\d+', dtype)[0])


def _filled(shape: tuple[int, ...], layout: str) -> list[int]:
  """The shape with its fastest axes filled up to whole tiles, as a TPU keeps it."""
  filled, tile = list(shape), _TILE.search(layout)
  if tile and shape:
    order = [int(axis) for axis in re.findall(r'\d+', layout.partition(':')[0])]
    for axis, length in zip(order, reversed(tile[1].split(',')), strict=False):
      filled[axis] = -(-filled[axis] // int(length)) * int(length)
  return filled
