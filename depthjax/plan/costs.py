"""What a compiled program does when it runs once: memory traffic, collectives, cycles.

Loops count as often as they turn. Numbers are those of one device.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from depthjax.plan.program import Array, Instruction, Program

COLLECTIVES = (
  'all-reduce',
  'all-gather',
  'reduce-scatter',
  'all-to-all',
  'collective-permute',
  'collective-broadcast',
)
# Names for what is there already, and the ends of what has been counted at its start.
_FREE = {
  *('parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast', 'after-all', 'while'),
  *('conditional', 'call', 'partition-id', 'replica-id', 'opt-barrier', 'async-update', 'domain'),
}
_SLICES = ('dynamic-slice', 'slice', 'gather')


class Collective(NamedTuple):
  """One collective: its kind, bytes of what a device puts in, and how often it runs.

  Fields:
    groups: the devices that speak with each other, [groups, devices of one].
    scope: the part of the program it belongs to, as traced.
    result: bytes of what a device gets out.
  """

  kind: str
  size: int
  result: int
  times: int
  groups: np.ndarray
  scope: str


class Costs(NamedTuple):
  """Totals of one run on one device.

  Fields:
    traffic: bytes read from and written to main memory by every instruction.
    collectives: in the order of the program.
    cycles: what the compiler expects, None where it does not say.
    unknown_loops: loops whose number of turns could not be read; they count as one.
  """

  traffic: int
  collectives: tuple[Collective, ...]
  cycles: float | None
  unknown_loops: int


def costs(program: Program, devices: int) -> Costs:
  """The costs of a program that was compiled for so many devices."""
  traffic, cycles, unknown, found, told = 0, 0.0, 0, [], False
  for instruction, body, times in _runs(program, program.entry, 1):
    if instruction.opcode == 'while':
      unknown += _turns(program, instruction, body) is None
    traffic += times * _traffic(program, instruction, body)
    expected = re.search(r'"estimated_cycles":"(\d+)"', instruction.attributes)
    told = told or bool(expected)
    cycles += times * int(expected[1]) if expected else 0
    found += _collectives(program, instruction, body, times, devices)
  return Costs(traffic, tuple(found), cycles if told else None, unknown)


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


def _main(arrays: Sequence[Array]) -> int:
  """Bytes in main memory."""
  return sum(array.size for array in arrays if array.space == 0)


def _collectives(
  program: Program,
  instruction: Instruction,
  body: dict[str, Instruction],
  times: int,
  devices: int,
) -> Iterator[Collective]:
  if instruction.opcode == 'fusion':  # A TPU fuses a collective with what surrounds it.
    inside = program.computations[instruction.calls('calls')]
    for one in inside.values():
      yield from _collectives(program, one, inside, times, devices)
    return
  kind = instruction.opcode.removesuffix('-start')
  if kind not in COLLECTIVES:
    return
  given = sum(a.size for name in instruction.operands if name in body for a in body[name].arrays)
  got = sum(array.size for array in instruction.arrays)
  scope = re.search(r'op_name="([^"]*)"', instruction.attributes)
  yield Collective(
    kind=kind,
    size=given,
    result=got - given if instruction.opcode.endswith('-start') and got > given else got,
    times=times,
    groups=replica_groups(instruction.attributes, devices),
    scope=scope[1] if scope else '',
  )


def replica_groups(attributes: str, devices: int) -> np.ndarray:
  """The groups of devices [groups, devices of one] that a collective's text names.

  They come as lists, as a permuted range ("[4,2]<=[2,4]T(1,0)"), or as axes of a mesh.
  """
  everyone = np.arange(devices).reshape(1, -1)
  pairs = re.search(r'source_target_pairs=\{(\{.*?\})\}', attributes)
  if pairs:
    return np.array(json.loads('[' + pairs[1].replace('{', '[').replace('}', ']') + ']'))
  lists = re.search(r'replica_groups=\{(\{[\d,{} ]*\})\}', attributes)
  if lists:
    return np.array(json.loads('[' + lists[1].replace('{', '[').replace('}', ']') + ']'))
  ranged = re.search(r'replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?', attributes)
  if ranged:
    shape, source, order = (_numbers(ranged[i]) for i in (1, 2, 3))
    ids = np.arange(np.prod(source)).reshape(source)
    return (ids.transpose(order) if order else ids).reshape(shape)
  mesh = re.search(r'replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}', attributes)
  if mesh:
    axes = dict(re.findall(r"'(\w+)'=(\d+)", mesh[1]))
    names, chosen = list(axes), re.findall(r"'(\w+)'", mesh[2])
    ids = np.arange(devices).reshape([int(size) for size in axes.values()])
    rest = [names.index(name) for name in names if name not in chosen]
    order = [*rest, *(names.index(name) for name in chosen)]
    members = int(np.prod([int(axes[name]) for name in chosen]))
    return ids.transpose(order).reshape(-1, members)
  return everyone


def _numbers(text: str | None) -> list[int]:
  return [int(number) for number in text.split(',')] if text else []
