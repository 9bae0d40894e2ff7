"""What a compiled program does when it runs once: memory traffic, collectives, cycles.

Loops count as often as they turn. Numbers are those of one device.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from depthjax.plan import collectives
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
      unknown += _turns(program, instruction, body) is None
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
      turns = _turns(program, instruction, body) or 1
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


def _turns(program: Program, loop: Instruction, body: dict[str, Instruction]) -> int | None:
  """How often a loop turns: the compiler's word, or the bound in its condition, from 0 by 1."""
  known = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes)
  if known:
    return int(known[1])
  condition = program.computations[loop.calls('condition')]
  root = next(i for i in condition.values() if i.root)
  if root.opcode == 'fusion':
    condition = {**condition, **program.computations[root.calls('calls')]}
  bounds = [
    int(i.text)
    for i in condition.values()
    if i.opcode == 'constant' and i.text.lstrip('-').isdigit()
  ]
  compares = [i for i in condition.values() if i.opcode == 'compare']
  if len(compares) == 1 and len(bounds) == 1 and 'direction=LT' in compares[0].attributes:
    return bounds[0]
  return None


def _traffic(program: Program, instruction: Instruction, body: dict[str, Instruction]) -> int:
  """Bytes that an instruction reads from and writes to main memory."""
  opcode = instruction.opcode
  if opcode in _FREE or opcode.endswith('-done'):
    return 0
  if opcode == 'async-start':
    return 0  # Its computation is walked.
  operands = [body[name].arrays for name in instruction.operands if name in body]
  if opcode.endswith('-start'):
    return _moved(instruction, operands)
  written = _main(instruction.arrays)
  if opcode in _SLICES:
    return written + min(_main(operands[0]), sum(a.size for a in instruction.arrays))
  if opcode == 'dynamic-update-slice':
    return 2 * _main(operands[1])
  if opcode == 'fusion':
    return _fused(program, instruction, operands)
  return written + sum(map(_main, operands))


def _moved(instruction: Instruction, operands: Sequence[Sequence[Array]]) -> int:
  """An asynchronous copy, slice or collective: what arrives, read once and written once."""
  given = [array.shape for arrays in operands for array in arrays]
  results = [a for a in instruction.arrays if a.dtype not in ('u32', 's32') or a.shape]
  arriving = results[:1] if instruction.opcode == 'copy-start' else results[len(given) :]
  size = sum(array.size for array in arriving or results[:1])
  return _main(arriving) + min(size, sum(map(_main, operands)))


def _fused(program: Program, fusion: Instruction, operands: Sequence[Sequence[Array]]) -> int:
  """A fusion reads its operands, of those it only slices the slices, and writes its results.

  A result that is an operand with a slice replaced is written in place.
  """
  inside = program.computations[fusion.calls('calls')]
  parameters = {int(i.text): i for i in inside.values() if i.opcode == 'parameter'}
  total = 0
  for number, given in enumerate(operands):
    whole = _main(given)
    if whole and number in parameters:
      whole = min(whole, _read(inside, parameters[number].name, whole))
    total += whole
  root = next(i for i in inside.values() if i.root)
  written = _main(fusion.arrays)
  if root.opcode == 'dynamic-update-slice' and root.operands[1] in inside:
    written = min(written, sum(a.size for a in inside[root.operands[1]].arrays))
  return total + written


def _read(inside: dict[str, Instruction], name: str, whole: int) -> int:
  """How much of a parameter a fused computation looks at."""
  users = [i for i in inside.values() if name in i.operands]
  if not users:
    return 0
  total = 0
  for user in users:
    if user.opcode in _SLICES and user.operands[0] == name:
      total += sum(a.size for a in user.arrays)
    elif user.opcode == 'dynamic-update-slice' and user.operands[0] == name:
      continue
    elif user.opcode == 'bitcast':
      total += _read(inside, user.name, whole)
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
