"""Trip counts of the loops of a compiled program."""

import re

from depthjax.plan.program import Computation, Instruction, Program, root


def trip_count(program: Program, loop: Instruction, computation: Computation) -> int | None:
  """Iterations of a `while` instruction, None if unknown.

  It is what the compiler states, or follows from start, bound and step of the loop's counter.
  `computation` holds the loop and its operands.
  """
  known = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes)
  if known:
    return int(known[1])
  condition = program.computations[loop.calls('condition')]
  if root(condition).opcode == 'fusion':
    condition = {**condition, **_inlined(program, condition, root(condition))}
  compares = [i for i in condition.values() if i.opcode == 'compare']
  if len(compares) != 1 or 'direction=LT' not in compares[0].attributes:
    return None
  counter, bound = (condition.get(name) for name in compares[0].operands)
  index = _tuple_index(condition, counter)
  start = _constant(_element(computation, computation.get(loop.operands[0]), index))
  stop = _constant(bound)
  step = _step(program, program.computations[loop.calls('body')], index)
  if None in (index, start, stop, step) or step < 1:
    return None
  return max(0, -(-(stop - start) // step))


def _inlined(program: Program, computation: Computation, fusion: Instruction) -> Computation:
  """The computation of a fusion, its parameters replaced by the fusion's operands."""
  return {
    i.name: computation[fusion.operands[int(i.text)]] if i.opcode == 'parameter' else i
    for i in program.fused(fusion).values()
  }


def _source(computation: Computation, value: Instruction | None) -> Instruction | None:
  """The instruction that a copy or bitcast goes back to."""
  while value is not None and value.opcode in ('copy', 'bitcast'):
    value = computation.get(value.operands[0])
  return value


def _tuple_index(condition: Computation, counter: Instruction | None) -> int | None:
  """Index of the counter in the loop's tuple."""
  counter = _source(condition, counter)
  if counter is None or counter.opcode != 'get-tuple-element':
    return None
  return int(re.search(r'index=(\d+)', counter.attributes)[1])


def _element(
  computation: Computation, value: Instruction | None, index: int | None
) -> Instruction | None:
  """Element `index` of a tuple."""
  if value is None or index is None or value.opcode != 'tuple':
    return None
  return _source(computation, computation.get(value.operands[index]))


def _step(program: Program, body: Computation, index: int | None) -> int | None:
  """The constant that one iteration adds to the counter."""
  added = _element(body, root(body), index)
  if added is not None and added.opcode == 'fusion':
    body = {**body, **_inlined(program, body, added)}
    added = root(program.fused(added))
  if added is None or added.opcode != 'add':
    return None
  return next(filter(None, (_constant(body.get(name)) for name in added.operands)), None)


def _constant(value: Instruction | None) -> int | None:
  if value is None or value.opcode != 'constant' or not re.fullmatch(r'-?\d+', value.text):
    return None
  return int(value.text)
