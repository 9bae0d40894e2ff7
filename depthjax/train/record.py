"""The config of a run on disk, WORKDIR/config.json, and its differences from another config."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_collections

from depthjax import configuring
from depthjax.files import atomic

NAME = configuring.RECORD
# Tables and fields that do not affect the trained weights: hardware, speed, memory and logging.
FREE = ('parallel', 'input', 'eval', 'checkpoint', 'log', 'log_every', 'loss.chunk')


class Change(NamedTuple):
  """The recorded value of a field and its value in another config."""

  was: Any
  now: Any


def deciding(table: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """The fields that affect the trained weights, by dotted name, as JSON values."""
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
  config: ml_collections.ConfigDict, recorded: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Change]:
  """The deciding fields whose values in `recorded` differ from `config`, by dotted name.

  `defaults` has the fields that the record lacks because they were added later.
  """
  now = deciding(config.to_dict())
  was = now | deciding(defaults) | deciding(recorded)
  both = {name: Change(was[name], now.get(name)) for name in sorted(was)}
  return {name: change for name, change in both.items() if change.was != change.now}


def write(
  workdir: pathlib.Path, config: ml_collections.ConfigDict, step: int, changed: Mapping[str, Change]
) -> None:
  """Writes config.json; before that, appends `changed` fields of `step` to changes.jsonl."""
  if changed:
    fields = {name: change._asdict() for name, change in changed.items()}
    path = workdir / 'changes.jsonl'
    text = path.read_text(encoding='utf-8') if path.exists() else ''
    line = json.dumps({'step': step, 'changes': fields}) + '\n'
    if not text.endswith(line):  # A run killed between the two files has written it already.
      atomic.write_bytes(path, (text + line).encode(), ('.jsonl',))
  text = json.dumps(config.to_dict(), indent=2, default=str) + '\n'
  atomic.write_bytes(workdir / NAME, text.encode(), ('.json',))
