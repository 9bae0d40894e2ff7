"""Runs on disk: their configs and metrics, and their grouping by config."""

import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import ml_collections

from depthjax import configuring
from depthjax.files.errors import InputError
from depthjax.train import record

Line = dict[str, Any]  # Of metrics.jsonl: step, kind and scalars, NaN where one was not finite.


class Run(NamedTuple):
  """A training run, finished or not."""

  path: pathlib.Path
  config: dict[str, Any]  # The fields that affect results, by dotted name.
  steps: int  # Of the config.
  train: list[Line]
  evals: list[Line]


class Group(NamedTuple):
  """Runs whose configs differ only in the seed."""

  fields: dict[str, Any]  # Of the config, without the seed.
  runs: list[Run]

  @property
  def step(self) -> int:
    """The last step at which a run was evaluated, 0 if none was."""
    return max((run.evals[-1]['step'] for run in self.runs if run.evals), default=0)

  @property
  def evaluated(self) -> list[Line]:
    """The evaluations at `step`."""
    return [line for run in self.runs for line in run.evals[-1:] if line['step'] == self.step]


def read(path: pathlib.Path) -> Run:
  """The run in a folder.

  Raises InputError: no run, or a damaged config.json or metrics.jsonl.
  """
  if not (path / configuring.RECORD).is_file():
    wrong = f'has no {configuring.RECORD}'
    raise InputError(path, wrong, 'the folder of a run, or a folder of runs')
  table = configuring.load(path).to_dict()  # Also with fields that an older run did not record.
  lines = _lines(path / 'metrics.jsonl')
  # Metrics depend on the number of examples.
  fields = {**record.deciding(table), 'eval.examples': table['eval']['examples']}
  kinds = {kind: [x for x in lines if x['kind'] == kind] for kind in ('train', 'eval')}
  return Run(path, fields, table['steps'], kinds['train'], kinds['eval'])


def folders(path: pathlib.Path) -> list[pathlib.Path]:
  """The folder of a run itself, or the runs in a folder of runs."""
  inside = sorted(x.parent for x in path.glob(f'*/{configuring.RECORD}'))
  return [path] if (path / configuring.RECORD).exists() or not inside else inside


def finished(path: pathlib.Path, config: ml_collections.ConfigDict) -> bool:
  """Whether a folder has a run of this config whose last step was evaluated; errors as `read`."""
  if not (path / configuring.RECORD).exists():
    return False
  run, recorded = read(path), configuring.load(path)
  same = record.deciding(recorded.to_dict()) == record.deciding(config.to_dict())
  return same and any(line['step'] == config.steps for line in run.evals)


def group(runs: Sequence[Run]) -> list[Group]:
  """The runs grouped by all fields but the seed, in the order of the first of each group."""
  found: dict[str, Group] = {}
  for run in runs:
    fields = {name: value for name, value in run.config.items() if name != 'seed'}
    key = json.dumps(fields, sort_keys=True)
    found.setdefault(key, Group(fields, [])).runs.append(run)
  return list(found.values())


def differing(groups: Sequence[Group]) -> list[str]:
  """The fields whose values differ between groups that have them; the task is the first."""
  values: dict[str, set[str]] = {'task': set()}
  for name, value in (field for group in groups for field in group.fields.items()):
    values.setdefault(name, set()).add(json.dumps(value))
  return [name for name, different in values.items() if len(different) > 1]


def metrics(groups: Sequence[Group]) -> list[str]:
  """The names of the metrics that some group was evaluated for."""
  names = dict.fromkeys(x for group in groups for line in group.evaluated for x in line)
  return [name for name in names if name not in ('step', 'kind')]


def _lines(path: pathlib.Path) -> list[Line]:
  """The lines of metrics.jsonl, without a last one that is incomplete; [] if there is no file."""
  texts = path.read_text(encoding='utf-8', errors='replace').splitlines() if path.exists() else []
  lines = []
  for i, text in enumerate(texts):
    try:
      line = {name: math.nan if x is None else x for name, x in json.loads(text).items()}
      lines.append({**line, 'step': int(line['step']), 'kind': str(line['kind'])})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
      if i + 1 < len(texts):  # A run that is running or was killed.
        raise InputError(path, f'is damaged in line {i + 1}', 'lines of JSON') from error
  return lines
