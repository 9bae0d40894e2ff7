"""What the devices of a compiled program send each other: kinds, sizes, and who with whom."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from depthjax.plan.program import Instruction, Program

_KINDS = (
  'all-reduce',
  'all-gather',
  'reduce-scatter',
  'all-to-all',
  'collective-permute',
  'collective-broadcast',
)


class Collective(NamedTuple):
  """One collective: its kind, bytes of what a device puts in, and how often it runs.

  Fields:
    size, result: bytes of the values that a device puts in and gets out; a layout may add to them.
    groups: the devices that speak with each other, [groups, devices of one].
    scope: the part of the program it belongs to, as traced.
  """

  kind: str
  size: int
  result: int
  times: int
  groups: np.ndarray
  scope: str


def within(
  program: Program,
  instruction: Instruction,
  body: dict[str, Instruction],
  times: int,
  devices: int,
) -> Iterator[Collective]:
  """The collective that an instruction is, or those within a fusion; `body` has its operands."""
  if instruction.opcode == 'fusion':  # A TPU fuses a collective with what surrounds it.
    inside = program.computations[instruction.calls('calls')]
    for one in inside.values():
      for found in within(program, one, inside, times, devices):
        yield _scattered(found, inside, instruction)
    return
  kind = instruction.opcode.removesuffix('-start')
  if kind not in _KINDS:
    return
  done = [one for one in body.values() if one.opcode == f'{kind}-done']
  ends = [one for one in done if instruction.name in one.operands] or [instruction]
  yield Collective(
    kind=kind,
    size=_values(instruction, body),
    result=sum(array.values for array in ends[0].arrays),
    times=times,
    groups=replica_groups(instruction.attributes, devices),
    scope=_scope(instruction),
  )


def _scattered(one: Collective, inside: dict[str, Instruction], fusion: Instruction) -> Collective:
  """An all-reduce of which a device keeps its own part alone is a reduce-scatter on a TPU."""
  root = next(i for i in inside.values() if i.root)
  while root.opcode in ('bitcast', 'convert', 'copy', 'reshape') and root.operands[0] in inside:
    root = inside[root.operands[0]]
  if one.kind != 'all-reduce' or root.opcode != 'dynamic-slice':
    return one
  kept = sum(array.values for array in fusion.arrays)
  return one._replace(kind='reduce-scatter', size=kept * one.groups.shape[1], result=kept)


def between(
  instruction: Instruction,
  body: dict[str, Instruction],
  times: int,
  devices: int,
  slices: int,
) -> Iterator[Collective]:
  """What a device sends to its likes on the other slices."""
  kind = re.search(r'_xla_megascale_transfer_type="(\w+)"', instruction.attributes)
  if instruction.opcode == 'send' and kind:
    size = _values(instruction, body)
    among = devices * np.arange(slices)[None]
    name = kind[1].lower().replace('_', '-')
    yield Collective(name, size, size, times, among, _scope(instruction) or 'between slices')


def _values(instruction: Instruction, body: dict[str, Instruction]) -> int:
  """Bytes of the operands."""
  operands = (body[name] for name in instruction.operands if name in body)
  return sum(array.values for operand in operands for array in operand.arrays)


def _scope(instruction: Instruction) -> str:
  name = re.search(r'op_name="([^"]*)"', instruction.attributes)
  return name[1] if name else ''


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
  ranged = re.search(r'replica_groups=\[([\d,]+)\]<=(\[[\d,]+\](?:T\([\d,]+\))?)', attributes)
  if ranged:
    return _device_ids(ranged[2], devices).reshape(_numbers(ranged[1]))
  mesh = re.search(
    r'replica_groups=mesh\[([^\]]*)\](?:, device_ids=\((.*?)\))? \{([^}]*)\}', attributes
  )
  if mesh:
    axes = dict(re.findall(r"'(\w+)'=(\d+)", mesh[1]))
    names, chosen = list(axes), re.findall(r"'(\w+)'", mesh[3])
    ids = _device_ids(mesh[2], devices).reshape([int(size) for size in axes.values()])
    rest = [names.index(name) for name in names if name not in chosen]
    order = [*rest, *(names.index(name) for name in chosen)]
    members = int(np.prod([int(axes[name]) for name in chosen]))
    return ids.transpose(order).reshape(-1, members)
  return everyone


def _device_ids(text: str | None, devices: int) -> np.ndarray:
  """Numbers of devices in an order: all, a list, or a range that is permuted: "[2,4]T(1,0)"."""
  if not text:
    return np.arange(devices)
  ranged = re.match(r'\[([\d,]+)\](?:T\(([\d,]+))?', text)
  if not ranged:
    return np.array(_numbers(text))
  ids = np.arange(devices).reshape(_numbers(ranged[1]))
  return ids.transpose(_numbers(ranged[2])) if ranged[2] else ids


def _numbers(text: str) -> list[int]:
  return [int(number) for number in text.split(',')]
