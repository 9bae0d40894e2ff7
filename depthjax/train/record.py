"""What a run was started with: WORKDIR/config.json, and how another config differs from it."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_collections

from depthjax.files import atomic, renamed
from depthjax.files.errors import InputError

NAME = 'config.json'
CHANGES = 'changes.jsonl'
# Tables and fields of a config that cannot change what is trained: where and how fast it runs, and
# what is written down of it; or what older runs had in such a place. All others decide the numbers.
FREE = (
  *('parallel', 'input', 'eval', 'checkpoint', 'log_every'),
  *('loss.chunk', 'loss.sequential'),
)
# No record of a run is without them.
_ALWAYS = ('task', 'seed', 'batch_size', 'data', 'optimizer')


class Change(NamedTuple):
  """A field that a run was started with as `was` and is to go on with as `now`."""

  was: Any
  now: Any


def as_json(config: ml_collections.ConfigDict) -> str:
  """What a run writes to config.json."""
  return json.dumps(config.to_dict(), indent=2, default=str) + '\n'


def read(path: pathlib.Path) -> dict[str, Any]:
  """The config that a run recorded.

  Raises:
    InputError: the file is damaged, or holds something else.
  """
  try:
    table = json.loads(path.read_text(encoding='utf-8'))
    return _current(table | {field: table[field] for field in _ALWAYS})
  except (KeyError, TypeError, ValueError) as error:
    wrong = 'does not hold the config of the run'
    raise InputError(path, wrong, 'the file that the run wrote, or none') from error


def _current(table: dict[str, Any]) -> dict[str, Any]:
  """The config that an older version recorded, by today's names."""
  table = renamed.config(table)
  kind = 'predictions' if 'predictions' in table['data'] else 'scene'
  return {
    **table,
    'task': renamed.task(table['task']),
    'data': {'kind': kind, **table['data']},
    'optimizer': {'name': 'adamw', 'schedule': 'cosine', 'power': 1.0, **table['optimizer']},
  }


def deciding(table: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """The fields of a config that decide what is trained, by dotted name, as JSON has them."""
  fields = {}
  for name, value in table.items():
    if f'{prefix}{name}' in FREE:
      continue
    if isinstance(value, Mapping):
      fields |= deciding(value, f'{prefix}{name}.')
    else:
      fields[f'{prefix}{name}'] = json.loads(json.dumps(value, default=str))
  return fields


def changes(
  config: ml_collections.ConfigDict, recorded: Mapping[str, Any], plain: Mapping[str, Any]
) -> dict[str, Change]:
  """The deciding fields whose values differ between a record and a config, by dotted name.

  Args:
    recorded: what `read` returned.
    plain: values of fields that the record lacks. Those were added since: what the record stands
      for was done before there was a choice.
  """
  now = deciding(config.to_dict())
  was = deciding(plain) | deciding(recorded)
  names = sorted(now.keys() | was.keys())
  found = {name: Change(was.get(name), now.get(name)) for name in names}
  return {name: change for name, change in found.items() if change.was != change.now}


def write(
  workdir: pathlib.Path,
  config: ml_collections.ConfigDict,
  step: int,
  changed: Mapping[str, Change],
) -> None:
  """Writes config.json, and before it a line of changes.jsonl where fields changed at `step`."""
  if changed:
    path = workdir / CHANGES
    before = path.read_text(encoding='utf-8') if path.exists() else ''
    line = json.dumps({'step': step, 'changes': {k: c._asdict() for k, c in changed.items()}})
    if not before.endswith(f'{line}\n'):  # It does where the run was killed between the two files.
      atomic.write_bytes(path, f'{before}{line}\n'.encode(), ('.jsonl',))
  atomic.write_bytes(workdir / NAME, as_json(config).encode(), ('.json',))
