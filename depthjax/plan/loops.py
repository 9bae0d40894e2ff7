"""How often the loops of a compiled program turn."""

import re

from depthjax.plan.program import Instruction, Program


def turns(program: Program, loop: Instruction, body: dict[str, Instruction]) -> int | None:
  """How often a loop turns: the compiler's word, or start, bound and step of its counter."""
  known = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes)
  if known:
    return int(known[1])
  condition = _flat(program, loop.calls('condition'))
  compares = [i for i in condition.values() if i.opcode == 'compare']
  if len(compares) != 1 or 'direction=LT' not in compares[0].attributes:
    return None
  counter, bound = (condition.get(name) for name in compares[0].operands)
  place = _place(condition, counter)
  start = _element(body, body.get(loop.operands[0]), place)
  turn = program.computations[loop.calls('body')]
  step = _step(program, turn, place)
  values = [_constant(start), _constant(bound), step]
  if place is None or None in values or step < 1:
    return None
  return max(0, -(-(values[1] - values[0]) // step))


def _flat(program: Program, name: str) -> dict[str, Instruction]:
  """A computation, with that of a fusion at its root in the fusion's place."""
  body = program.computations[name]
  root = next(i for i in body.values() if i.root)
  return {**body, **_inlined(program, body, root)} if root.opcode == 'fusion' else body


def _inlined(
  program: Program, body: dict[str, Instruction], fusion: Instruction
) -> dict[str, Instruction]:
  """The computation of a fusion; a parameter there is what it is given."""
  inside = program.computations[fusion.calls('calls')]
  return {
    i.name: body[fusion.operands[int(i.text)]] if i.opcode == 'parameter' else i
    for i in inside.values()
  }


def _place(body: dict[str, Instruction], counter: Instruction | None) -> int | None:
  """Which element of the loop's tuple a counter is, through copies."""
  while counter is not None and counter.opcode in ('copy', 'bitcast'):
    counter = body.get(counter.operands[0])
  if counter is None or counter.opcode != 'get-tuple-element':
    return None
  return int(re.search(r'index=(\d+)', counter.attributes)[1])


def _element(
  body: dict[str, Instruction], given: Instruction | None, place: int | None
) -> Instruction | None:
  """What a tuple has at a place, through copies."""
  if given is None or place is None or given.opcode != 'tuple':
    return None
  found = body.get(given.operands[place])
  while found is not None and found.opcode in ('copy', 'bitcast'):
    found = body.get(found.operands[0])
  return found


def _step(program: Program, turn: dict[str, Instruction], place: int | None) -> int | None:
  """What a turn adds to its counter."""
  root = next(i for i in turn.values() if i.root)
  added = _element(turn, root, place)
  if added is not None and added.opcode == 'fusion':
    turn = {**turn, **_inlined(program, turn, added)}
    inside = program.computations[added.calls('calls')]
    added = next(i for i in inside.values() if i.root)
  if added is None or added.opcode != 'add':
    return None
  return next(filter(None, (_constant(turn.get(name)) for name in added.operands)), None)


def _constant(instruction: Instruction | None) -> int | None:
  if instruction is None or instruction.opcode != 'constant':
    return None
  return int(instruction.text) if re.fullmatch(r'-?\d+', instruction.text) else None
