"""What a compiled program does when it runs once: memory traffic, collectives, cycles.

Loops count as often as they turn. Numbers are those of one device.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from depthjax.plan import collectives, loops
from depthjax.plan.collectives import Collective
from depthjax.plan.program import Array, Instruction, Program

# Names for what is there already, and the ends of what has been counted at its start.
_FREE = {
  *('parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast', 'after-all', 'while'),
  *(
    'send',
    'recv',
    'conditional',
    'call',
    'partition-id',
    'replica-id',
    'opt-barrier',
    'async-update',
    'domain',
  ),
}
_SLICES = ('dynamic-slice', 'slice', 'gather')


class Costs(NamedTuple):
  """Totals of one run on one device.

  Fields:
    traffic: bytes read from and written to main memory by every instruction.
    collectives: in the order of the program.
    cycles: what the compiler expects, None where it does not say; of gathers it never does.
    gathered: values that are picked one by one.
    unknown_loops: loops whose number of turns could not be read; they count as one.
  """

  traffic: int
  collectives: tuple[Collective, ...]
  cycles: float | None
  gathered: int
  unknown_loops: int


def costs(program: Program, devices: int, slices: int = 1) -> Costs:
  """The costs of a program that was compiled for so many devices, on each of so many slices.

  Over several slices a TPU runs one program each, which sends to the others through its host.
  """
  traffic, cycles, gathered, unknown, found, told = 0, 0.0, 0, 0, [], False
  for instruction, body, times in _runs(program, program.entry, 1):
    if instruction.opcode == 'while':
      unknown += loops.turns(program, instruction, body) is None
    traffic += times * _traffic(program, instruction, body)
    expected = re.search(r'"estimated_cycles":"(\d+)"', instruction.attributes)
    told = told or bool(expected)
    cycles += times * int(expected[1]) if expected else 0
    gathered += times * _gathered(program, instruction)
    found += collectives.within(program, instruction, body, times, devices)
    found += collectives.between(instruction, body, times, devices, slices)
  return Costs(traffic, tuple(found), cycles if told else None, gathered, unknown)


def _runs(
  program: Program, name: str, times: int
) -> Iterator[tuple[Instruction, dict[str, Instruction], int]]:
  """Every instruction that the device is given, its computation, and how often it runs."""
  body = program.computations[name]
  for instruction in body.values():
    yield instruction, body, times
    if instruction.opcode == 'while':
      turns = loops.turns(program, instruction, body) or 1
      yield from _runs(program, instruction.calls('body'), times * turns)
    elif instruction.opcode in ('call', 'async-start'):
      called = instruction.calls('to_apply') or instruction.calls('calls')
      if called:
        yield from _runs(program, called, times)
    elif instruction.opcode == 'conditional':
      yield from _runs(program, _heaviest(program, instruction), times)


def _heaviest(program: Program, conditional: Instruction) -> str:
  """The branch with the most instructions: which one runs is not known before."""
  listed = re.search(r'branch_computations=\{([^}]*)\}', conditional.attributes)
  names = re.findall(r'%([\w.\-]+)', listed[1]) if listed else []
  names += filter(None, map(conditional.calls, ('true_computation', 'false_computation')))
  return max(names, key=lambda name: sum(1 for _ in _runs(program, name, 1)))


def _traffic(program: Program, instruction: Instruction, body: dict[str, Instruction]) -> int:
  """Bytes that an instruction reads from and writes to main memory."""
  opcode = instruction.opcode
  if opcode in _FREE or opcode.endswith('-done'):
    return 0
  operands = [body[name].arrays for name in instruction.operands if name in body]
  if opcode.endswith('-start'):
    return _moved(instruction, operands, body)
  written = _main(instruction.arrays)
  if opcode in _SLICES:
    return written + min(_main(operands[0]), sum(a.size for a in instruction.arrays))
  if opcode == 'dynamic-update-slice':
    return 2 * _main(operands[1])
  if opcode == 'scatter':  # In place: what it changes is read and written.
    return _main(operands[1]) + 3 * _main(operands[2])
  if opcode == 'fusion':
    return _fused(program, instruction, operands)
  return written + sum(map(_main, operands))


def _moved(
  instruction: Instruction, operands: Sequence[Sequence[Array]], body: dict[str, Instruction]
) -> int:
  """An asynchronous copy, slice or collective: what arrives, read once and written once."""
  done = f'{instruction.opcode.removesuffix("-start")}-done'
  ends = (one for one in body.values() if one.opcode == done and instruction.name in one.operands)
  arriving = next(ends, instruction).arrays
  return _main(arriving) + min(sum(a.size for a in arriving), sum(map(_main, operands)))


def _fused(program: Program, fusion: Instruction, operands: Sequence[Sequence[Array]]) -> int:
  """A fusion reads its operands, of those it only slices the slices, and writes its results.

  A result that is an operand with a slice replaced is written in place.
  """
  inside = program.computations[fusion.calls('calls')]
  total = sum(
    min(_main(given), _read(program, fusion, number, _main(given)))
    for number, given in enumerate(operands)
    if _main(given)
  )
  root = next(i for i in inside.values() if i.root)
  results = [inside[name] for name in root.operands] if root.opcode == 'tuple' else [root]
  for array, result in zip(fusion.arrays, results, strict=False):
    total += min(_main([array]), _written(inside, result, array.size))
  return total


def _written(inside: dict[str, Instruction], result: Instruction, whole: int) -> int:
  """How much of a fusion's result is new."""
  while result.opcode in ('bitcast', 'copy') and result.operands[0] in inside:
    result = inside[result.operands[0]]
  update = {'dynamic-update-slice': 1, 'scatter': 2}.get(result.opcode)
  if update is None or result.operands[update] not in inside:
    return whole
  return sum(array.size for array in inside[result.operands[update]].arrays)


def _read(program: Program, fusion: Instruction, number: int, whole: int) -> int:
  """How much of its operand of that number a fusion looks at."""
  inside = program.computations[fusion.calls('calls')]
  given = (i for i in inside.values() if i.opcode == 'parameter' and i.text == str(number))
  parameter = next(given, None)
  return whole if parameter is None else _used(program, inside, parameter.name, whole)


def _used(program: Program, inside: dict[str, Instruction], name: str, whole: int) -> int:
  """How much of a value its users look at."""
  total = 0
  for user in (i for i in inside.values() if name in i.operands):
    first = user.operands[0] == name and name not in user.operands[1:]
    if user.opcode in _SLICES and first:
      total += sum(a.size for a in user.arrays)
    elif user.opcode in ('dynamic-update-slice', 'scatter') and first:
      continue
    elif user.opcode == 'bitcast':
      total += _used(program, inside, user.name, whole)
    elif user.opcode == 'fusion':
      places = (i for i, operand in enumerate(user.operands) if operand == name)
      total += sum(_read(program, user, place, whole) for place in places)
    else:
      return whole
  return total


def _gathered(program: Program, instruction: Instruction) -> int:
  """Values that a gather, or those within a fusion, picks."""
  if instruction.opcode == 'fusion':
    inside = program.computations[instruction.calls('calls')]
    return sum(_gathered(program, one) for one in inside.values())
  gathers = instruction.opcode == 'gather'
  return sum(math.prod(array.shape) for array in instruction.arrays) if gathers else 0


def _main(arrays: Sequence[Array]) -> int:
  """Bytes in main memory."""
  return sum(array.size for array in arrays if array.space == 0)
