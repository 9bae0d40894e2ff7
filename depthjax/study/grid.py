"""The runs of a sweep: every combination of the values of some fields and of the seeds."""

import ast
import itertools
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from depthjax.configuring import ConfigError


def runs(changes: Sequence[str], seeds: int) -> dict[str, dict[str, Any]]:
  """All combinations, in the order of the values; the seed varies fastest.

  Args:
    changes: FIELD=VALUE,VALUE,... with Python literals, or strings if they are none. A source of
      data without quotes is one value, since its commas separate the parts of a mixture.
    seeds: the number of seeds: 0, 1, ...

  Returns the fields of each run by dotted name, by the name of the run's folder, such as
  'optimizer.peak=0.001,seed=0'.

  Raises ConfigError: no values, or a field or the name of a run twice.
  """
  axes = {**dict(map(_axis, changes)), 'seed': range(seeds)}
  if len(axes) <= len(changes):
    wrong = f'--set has a field twice ({" ".join(changes)})'
    raise ConfigError(f'{wrong}; each must be once, and --seeds sets the field seed')
  # A field with one value is the same for all runs; the seed is in every name.
  varied = [name for name, values in axes.items() if len(values) > 1 or name == 'seed']
  found = {}
  for values in itertools.product(*axes.values()):
    fields = dict(zip(axes, values, strict=True))
    # Without spaces, brackets and slashes: (6, 6, 3) becomes 6_6_3.
    texts = (re.sub(r'[^\w.+-]+', '_', str(fields[x])).strip('_') for x in varied)
    name = ','.join(f'{x}={text}' for x, text in zip(varied, texts, strict=True))
    if name in found:
      raise ConfigError(f'two runs have the name {name}; values must differ in their letters')
    found[name] = fields
  return found


def command(config: str, fields: Mapping[str, Any], workdir: str) -> str:
  """The command that trains one run, quoted for a shell."""
  changes = (f'--config.{name}={value}' for name, value in fields.items())
  return shlex.join(['depthjax', 'train', f'--config={config}', *changes, f'--workdir={workdir}'])


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
    return name, [text] if name.endswith('_source') else text.split(',')
