"""Tasks, record kinds, predictors and configs of other packages.

One is found by its name in an entry point of the group depthjax.GROUP, or by 'module:object', or by
the name of its module. Names of this package win.
"""

import pkgutil
import types
from collections.abc import Collection, Mapping
from importlib import metadata
from typing import Any

# The function that a module has for each group. A record kind is the module itself.
_NAMES = {'tasks': 'make', 'records': 'records', 'models': 'from_config', 'configs': 'get_config'}


def names(group: str, builtin: Collection[str] = ()) -> list[str]:
  """The names of a group: those of this package, and of the entry points."""
  points = metadata.entry_points(group=f'depthjax.{group}')
  return [*builtin, *sorted(points.names - {*builtin})]


def find(group: str, name: str, field: str, builtin: Mapping[str, Any]) -> Any:
  """The object that a config's `field` names: a function, or a module of a record kind.

  Raises ValueError: it cannot be imported.
  """
  if name in builtin:
    return builtin[name]
  try:
    found = pkgutil.resolve_name(reference(group, name))
    if isinstance(found, types.ModuleType):
      function = getattr(found, _NAMES[group])
      found = found if group == 'records' else function
  except (ImportError, AttributeError, ValueError) as error:
    known = ', '.join(names(group, builtin))
    wrong = f"{field} is {name!r}; it can be {known}, or 'module:object' of other code"
    raise ValueError(f'{wrong} ({error})') from error
  return found


def reference(group: str, name: str) -> str:
  """'module:object' or 'module' of the entry point with this name; without one, the name."""
  return next((x.value for x in metadata.entry_points(group=f'depthjax.{group}', name=name)), name)
