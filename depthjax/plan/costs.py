"""Costs of one run of a compiled program on one device: memory traffic, collectives, cycles."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from depthjax.plan import collectives, loops
from depthjax.plan.collectives import Collective
from depthjax.plan.program import Array, Computation, Instruction, Program, completion, root

# Instructions that move nothing, or whose parts are counted by themselves.
_FREE = {
  *('parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast', 'after-all', 'while'),
  *('send', 'recv', 'conditional', 'call', 'partition-id', 'replica-id', 'opt-barrier'),
  *('async-update', 'domain'),
}
_SLICES = ('dynamic-slice', 'slice', 'gather')


class Costs(NamedTuple):
  """Totals of one device; an instruction in a loop counts once an iteration."""

  traffic: int  # Bytes read from and written to main memory.
  collectives: tuple[Collective, ...]  # In program order.
  cycles: float | None  # The compiler's estimate, without gathers; None where it gives none.
  gather_elements: int  # Elements of the results of gather instructions.
  unknown_loops: int  # Loops of unknown trip count; they count as one iteration.


def costs(program: Program, devices: int, slices: int = 1) -> Costs:
  """Costs of a program compiled for `devices` devices on each of `slices` TPU slices.

  With several slices, each runs its own program, which sends to the others through its host.
  """
  traffic, cycles, gathers, unknown, found, estimated = 0, 0.0, 0, 0, [], False
  for instruction, computation, count in _executed(program, program.entry, 1):
    if instruction.opcode == 'while':
      unknown += loops.trip_count(program, instruction, computation) is None
    traffic += count * _traffic(program, instruction, computation)
    estimate = re.search(r'"estimated_cycles":"(\d+)"', instruction.attributes)
    estimated = estimated or bool(estimate)
    cycles += count * int(estimate[1]) if estimate else 0
    gathers += count * _gather_elements(program, instruction)
    found += collectives.within_slice(program, instruction, computation, count, devices)
    found += collectives.across_slices(instruction, computation, count, devices, slices)
  return Costs(traffic, tuple(found), cycles if estimated else None, gathers, unknown)


def _executed(
  program: Program, name: str, count: int
) -> Iterator[tuple[Instruction, Computation, int]]:
  """Each executed instruction, its computation, and how often it runs."""
  computation = program.computations[name]
  for instruction in computation.values():
    yield instruction, computation, count
    if instruction.opcode == 'while':
      iterations = loops.trip_count(program, instruction, computation) or 1
      yield from _executed(program, instruction.calls('body'), count * iterations)
    elif instruction.opcode in ('call', 'async-start'):
      called = instruction.calls('to_apply') or instruction.calls('calls')
      if called:
        yield from _executed(program, called, count)
    elif instruction.opcode == 'conditional':
      yield from _executed(program, _longest_branch(program, instruction), count)


def _longest_branch(program: Program, conditional: Instruction) -> str:
  """The branch with the most instructions, since which one runs is unknown."""
  listed = re.search(r'branch_computations=\{([^}]*)\}', conditional.attributes)
  names = re.findall(r'%([\w.\-]+)', listed[1]) if listed else []
  names += filter(None, map(conditional.calls, ('true_computation', 'false_computation')))
  return max(names, key=lambda name: sum(1 for _ in _executed(program, name, 1)))


def _traffic(program: Program, instruction: Instruction, computation: Computation) -> int:
  """Bytes that an instruction reads from and writes to main memory."""
  opcode = instruction.opcode
  if opcode in _FREE or opcode.endswith('-done'):
    return 0
  operands = [computation[name].arrays for name in instruction.operands if name in computation]
  if opcode.endswith('-start'):  # Read once, and written once to the result of its `-done`.
    results = completion(instruction, computation).arrays
    return _main(results) + min(_size(results), sum(map(_main, operands)))
  written = _main(instruction.arrays)
  if opcode in _SLICES:
    return written + min(_main(operands[0]), _size(instruction.arrays))
  if opcode == 'dynamic-update-slice':
    return 2 * _main(operands[1])
  if opcode == 'scatter':  # In place: only the updated elements are read and written.
    return _main(operands[1]) + 3 * _main(operands[2])
  if opcode == 'fusion':
    return _fusion_traffic(program, instruction, operands)
  return written + sum(map(_main, operands))


def _fusion_traffic(
  program: Program, fusion: Instruction, operands: Sequence[Sequence[Array]]
) -> int:
  """A fusion reads its operands, or only slices of them, and writes its results.

  A result that is an operand with a slice replaced is written in place.
  """
  inside = program.fused(fusion)
  total = sum(
    min(_main(arrays), _operand_read(program, inside, number, _main(arrays)))
    for number, arrays in enumerate(operands)
  )
  last = root(inside)
  results = [inside[name] for name in last.operands] if last.opcode == 'tuple' else [last]
  for array, result in zip(fusion.arrays, results, strict=False):
    total += min(_main([array]), _written(inside, result, array.size))
  return total


def _written(inside: Computation, result: Instruction, size: int) -> int:
  """Bytes that a fusion writes of a result of `size` bytes."""
  while result.opcode in ('bitcast', 'copy') and result.operands[0] in inside:
    result = inside[result.operands[0]]
  update = {'dynamic-update-slice': 1, 'scatter': 2}.get(result.opcode)
  if update is None or result.operands[update] not in inside:
    return size
  return _size(inside[result.operands[update]].arrays)


def _operand_read(program: Program, inside: Computation, number: int, size: int) -> int:
  """Bytes that a fusion reads of operand `number` of `size` bytes."""
  for one in inside.values():
    if one.opcode == 'parameter' and one.text == str(number):
      return _read(program, inside, one.name, size)
  return size


def _read(program: Program, inside: Computation, name: str, size: int) -> int:
  """Bytes that the users of a value of `size` bytes read."""
  total = 0
  for user in (i for i in inside.values() if name in i.operands):
    first = user.operands[0] == name and name not in user.operands[1:]
    if user.opcode in _SLICES and first:
      total += _size(user.arrays)
    elif user.opcode in ('dynamic-update-slice', 'scatter') and first:
      continue
    elif user.opcode == 'bitcast':
      total += _read(program, inside, user.name, size)
    elif user.opcode == 'fusion':
      numbers = (i for i, operand in enumerate(user.operands) if operand == name)
      total += sum(_operand_read(program, program.fused(user), i, size) for i in numbers)
    else:
      return size
  return total


def _gather_elements(program: Program, instruction: Instruction) -> int:
  if instruction.opcode == 'fusion':
    return sum(_gather_elements(program, one) for one in program.fused(instruction).values())
  gathers = instruction.opcode == 'gather'
  return sum(math.prod(array.shape) for array in instruction.arrays) if gathers else 0


def _size(arrays: Sequence[Array]) -> int:
  return sum(array.size for array in arrays)


def _main(arrays: Sequence[Array]) -> int:
  """Bytes in main memory."""
  return _size([array for array in arrays if array.space == 0])
