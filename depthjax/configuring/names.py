"""Names and types of a config's fields: those of `defaults()` and of the task's packaged config."""

import difflib
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections

from depthjax.configuring import fields, files
from depthjax.configuring.errors import ConfigError


def check_names(config: ml_collections.ConfigDict, where: str = 'config') -> None:
  """Checks that all fields are known, and their values of the right types.

  The tables of a task that has no packaged config, and the `data` of a kind of records that is not
  of this package, have any fields. Fields may be missing.

  Raises ConfigError that begins with `where` and names all wrong fields, with the nearest names.
  """
  table, scenes = config.to_dict(), fields.scenes().to_dict()
  task, kind = table.get('task', ''), table.get('data', {}).get('kind', 'scene')
  predictions = {'depth_source': '', 'predictions': fields.predictions().to_dict()}
  masked = {**predictions, 'masked': fields.masked().to_dict()}
  labelled = {'label_source': '', 'labelled': fields.labelled().to_dict()}
  kinds = {'scene': scenes, 'predictions': scenes | predictions, 'masked': scenes | masked}
  kinds['labelled'] = scenes | labelled
  known = base(task) | {'data': kinds.get(kind)}  # None where a table may have any fields.
  if task not in files.packaged():
    known |= dict.fromkeys(('model', 'loss', 'render'))
  if wrong := list(_wrong(table, known)):
    raise ConfigError(f'{where}: {", ".join(wrong)}')


@functools.cache
def base(task: str) -> dict[str, Any]:
  """The packaged config of a task; that of `fields.defaults` for another task."""
  if task in files.packaged():
    return files.run_file(files.PACKAGED / f'{task}.py').to_dict()
  return fields.defaults().to_dict()


def _wrong(table: Mapping[str, Any], known: Mapping[str, Any], prefix: str = '') -> Iterator[str]:
  for name, value in table.items():
    path = f'{prefix}{name}'
    if name not in known:
      close = difflib.get_close_matches(str(name), known, 1)
      yield f'no field {path}' + (f' (did you mean {prefix}{close[0]}?)' if close else '')
    elif known[name] is not None and not _fits(value, known[name]):
      kind = type(known[name]).__name__.replace('float', 'finite float')
      yield f'{path} is {value!r:.40} (expected {kind})'
    elif isinstance(known[name], Mapping):
      yield from _wrong(value, known[name], f'{path}.')


def _fits(value: Any, known: Any) -> bool:
  """Whether a value can replace a known one: an int a float, a list a tuple."""
  parts = value if isinstance(value, tuple) else (value,)
  if any(isinstance(x, float) and not math.isfinite(x) for x in parts):
    return False
  if isinstance(value, bool) or isinstance(known, bool):
    return type(value) is type(known)
  others = {float: (int, float), tuple: (list, tuple)}
  return isinstance(value, others.get(type(known), type(known)))
