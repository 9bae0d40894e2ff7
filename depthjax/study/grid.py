"""The runs of a sweep: every combination of the values of some fields and of the seeds."""

import ast
import collections
import itertools
import pathlib
import re
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

from depthjax.configuring import ConfigError


class Run(NamedTuple):
  """One run of a sweep."""

  name: str  # Of its folder, such as 'optimizer.peak=0.001,seed=0'.
  fields: dict[str, Any]  # Its values by dotted name of the field.


def runs(changes: Sequence[str], seeds: int) -> list[Run]:
  """All combinations, in the order of the values; the seed varies fastest.

  Args:
    changes: FIELD=VALUE,VALUE,... with Python literals, or strings if they are none.
    seeds: the number of seeds: 0, 1, ...

  Raises ConfigError: no values, or a field or the name of a run twice.
  """
  axes = [*map(_axis, changes), ('seed', list(range(seeds)))]
  names = [name for name, _ in axes]
  if repeated := _repeated(names):
    right = 'it must be once, and --seeds sets the seeds'
    raise ConfigError(f'--set has the field {repeated!r} twice; {right}')
  combinations = itertools.product(*(values for _, values in axes))
  # A field with one value is the same for all runs; the seed is in every name.
  varied = [name for name, values in axes if len(values) > 1 or name == 'seed']
  found = [_run(dict(zip(names, values, strict=True)), varied) for values in combinations]
  if repeated := _repeated([run.name for run in found]):
    raise ConfigError(f'two runs have the name {repeated}; values must differ in their letters')
  return found


def command(config: str, run: Run, workdir: pathlib.Path) -> str:
  """The command that trains one run, quoted for a shell."""
  fields = (f'--config.{name}={value}' for name, value in run.fields.items())
  line = ['depthjax', 'train', f'--config={config}', *fields, f'--workdir={workdir / run.name}']
  return shlex.join(line)


def _run(fields: dict[str, Any], varied: Sequence[str]) -> Run:
  # Folder names without spaces, brackets and slashes: (6, 6, 3) becomes 6_6_3.
  texts = {name: re.sub(r'[^\w.+-]+', '_', str(fields[name])).strip('_') for name in varied}
  return Run(','.join(f'{name}={text}' for name, text in texts.items()), fields)


def _axis(change: str) -> tuple[str, list[Any]]:
  """The field and the values of one option --set."""
  name, equals, text = change.partition('=')
  if not name or not equals:
    right = 'FIELD=VALUE,VALUE,... such as optimizer.peak=1e-3,3e-3'
    raise ConfigError(f'--set is {change!r}; it must be {right}')
  try:
    return name, ast.literal_eval(f'[{text}]') or ['']
  except (SyntaxError, ValueError) as error:
    if set(text) & set('\'"([{'):
      right = 'its values must be Python literals, or strings without quotes and brackets'
      raise ConfigError(f'--set is {change!r}; {right}') from error
    return name, text.split(',')


def _repeated(names: Sequence[str]) -> str:
  """The first name that is there more than once, or ''."""
  return next((name for name, count in collections.Counter(names).items() if count > 1), '')
