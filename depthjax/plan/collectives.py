"""Collectives of a compiled program: kinds, sizes and replica groups."""

import json
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from depthjax.plan.program import Computation, Instruction, Program, completion, root

_KINDS = (
  *('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all'),
  *('collective-permute', 'collective-broadcast'),
)


class Collective(NamedTuple):
  """One collective; bytes are those of one device, without padding."""

  kind: str  # HLO opcode.
  operand_bytes: int
  result_bytes: int
  count: int  # Runs per step.
  groups: np.ndarray  # Ids of the communicating devices [groups, devices in a group].
  scope: str  # op_name, the traced function that it belongs to.


def within_slice(
  program: Program, instruction: Instruction, computation: Computation, count: int, devices: int
) -> Iterator[Collective]:
  """Yields the collectives of an instruction that runs `count` times: itself, or those in a fusion.

  `computation` holds the instruction and its operands; the program runs on `devices` devices.
  """
  if instruction.opcode == 'fusion':  # The TPU compiler fuses collectives with other instructions.
    inside = program.fused(instruction)
    for one in inside.values():
      for found in within_slice(program, one, inside, count, devices):
        yield _as_reduce_scatter(found, inside, instruction)
    return
  kind = instruction.opcode.removesuffix('-start')
  if kind in _KINDS:
    yield Collective(
      kind=kind,
      operand_bytes=_operand_bytes(instruction, computation),
      result_bytes=sum(x.values for x in completion(instruction, computation).arrays),
      count=count,
      groups=replica_groups(instruction.attributes, devices),
      scope=_scope(instruction),
    )


def _as_reduce_scatter(one: Collective, inside: Computation, fusion: Instruction) -> Collective:
  """An all-reduce followed by a slice of the device's own part is a reduce-scatter on a TPU."""
  last = root(inside)
  while last.opcode in ('bitcast', 'convert', 'copy', 'reshape') and last.operands[0] in inside:
    last = inside[last.operands[0]]
  if one.kind != 'all-reduce' or last.opcode != 'dynamic-slice':
    return one
  size = sum(array.values for array in fusion.arrays)
  total = size * one.groups.shape[1]
  return one._replace(kind='reduce-scatter', operand_bytes=total, result_bytes=size)


def across_slices(
  instruction: Instruction, computation: Computation, count: int, devices: int, slices: int
) -> Iterator[Collective]:
  """Cross-slice (DCN) transfers: a host send of the TPU compiler."""
  kind = re.search(r'_xla_megascale_transfer_type="(\w+)"', instruction.attributes)
  if instruction.opcode == 'send' and kind:
    size = _operand_bytes(instruction, computation)
    groups = devices * np.arange(slices)[None]
    name = kind[1].lower().replace('_', '-')
    yield Collective(name, size, size, count, groups, _scope(instruction) or 'between slices')


def _operand_bytes(instruction: Instruction, computation: Computation) -> int:
  operands = (computation[name] for name in instruction.operands if name in computation)
  return sum(array.values for operand in operands for array in operand.arrays)


def _scope(instruction: Instruction) -> str:
  name = re.search(r'op_name="([^"]*)"', instruction.attributes)
  return name[1] if name else ''


def replica_groups(attributes: str, devices: int) -> np.ndarray:
  """Device ids [groups, devices in a group] of a collective's attributes.

  HLO has three forms: lists, a permuted range ("[4,2]<=[2,4]T(1,0)"), and axes of a mesh. No
  groups mean one of all devices.
  """
  lists = re.search(r'(?:source_target_pairs|replica_groups)=\{(\{.*?\})\}', attributes)
  if lists:
    return np.array(json.loads('[' + lists[1].replace('{', '[').replace('}', ']') + ']'))
  ranged = re.search(r'replica_groups=\[([\d,]+)\]<=(\[[\d,]+\](?:T\([\d,]+\))?)', attributes)
  if ranged:
    return _device_ids(ranged[2], devices).reshape(_numbers(ranged[1]))
  mesh = re.search(
    r'replica_groups=mesh\[([^\]]*)\](?:, device_ids=\((.*?)\))? \{([^}]*)\}', attributes
  )
  if mesh:
    axes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", mesh[1])}
    names, chosen = list(axes), re.findall(r"'(\w+)'", mesh[3])
    ids = _device_ids(mesh[2], devices).reshape(list(axes.values()))
    order = [name for name in names if name not in chosen] + chosen
    members = math.prod(axes[name] for name in chosen)
    return ids.transpose([names.index(name) for name in order]).reshape(-1, members)
  return np.arange(devices).reshape(1, -1)


def _device_ids(text: str | None, devices: int) -> np.ndarray:
  """Device ids in order: all if `text` is None, a list, or a permuted range "[2,4]T(1,0)"."""
  if not text:
    return np.arange(devices)
  ranged = re.match(r'\[([\d,]+)\](?:T\(([\d,]+))?', text)
  if not ranged:
    return np.array(_numbers(text))
  ids = np.arange(devices).reshape(_numbers(ranged[1]))
  return ids.transpose(_numbers(ranged[2])) if ranged[2] else ids


def _numbers(text: str) -> list[int]:
  return [int(number) for number in text.split(',')]
