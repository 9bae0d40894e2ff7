"""Loads a config by path or name, and replaces its fields."""

import ast
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from depthjax import plugins
from depthjax.configuring import files
from depthjax.configuring.errors import ConfigError
from depthjax.configuring.names import base, check_names


def load(where: str | pathlib.Path, arg: str = '') -> ml_collections.ConfigDict:
  """The locked config of a file, of the package, or of a run.

  Args:
    where: PATH.py, the name of a packaged config such as 'lensblur' or of one of another package,
      the folder of a run, its config.json, or weights. A file or a name may be followed by ':' and
      its argument: 'lensblur:small'.
    arg: the argument, if it is not in `where`.

  Fields that an older run did not record have the values of the task's packaged config.

  Raises:
    ConfigError: there is no such config, its file raises an exception or does not accept the
      argument, or a field is unknown or of another type.
    files.errors.InputError: a run's config.json is damaged.
  """
  name, _, own = str(where).partition(':')
  if name in plugins.names('configs') and name not in files.packaged():
    found, find = where, lambda arg: plugins.find('configs', name, '--config', {})(arg)
    config = files.called(find, own or arg, where)
  else:
    found, arg = _find(str(where), arg)
    config = _read(found, arg)
  check_names(config, str(found))
  return config.lock()


def _read(path: pathlib.Path, arg: str) -> ml_collections.ConfigDict:
  if path.suffix not in ('.json', '.safetensors'):
    return files.run_file(path, arg)
  table = files.recorded(path)
  config = ml_collections.ConfigDict(base(table['task']))
  with config.ignore_type():  # `check_names` names all wrong fields.
    config.update(_tuples(table))
  return config


def _find(where: str, arg: str) -> tuple[pathlib.Path, str]:
  """The file and the argument that `where` names."""
  name, _, own = where.partition(':')
  if name in files.packaged():
    return files.PACKAGED / f'{name}.py', own or arg
  for text, argument in ((where, arg), (name, own)):
    path = pathlib.Path(os.path.expanduser(text))
    path = path / files.RECORD if os.path.isdir(path) else path
    if os.path.isfile(path):  # Unlike pathlib, False for a path that is too long.
      return path, argument
  names = ', '.join(plugins.names('configs', files.packaged()))
  right = f'a config such as configs/lensblur.py, a packaged one ({names}), or the folder of a run'
  raise ConfigError(f'{where}: does not exist; expected {right}')


def _tuples(value: Any) -> Any:
  """A JSON value with tuples for its lists, which a config cannot have as fields."""
  if isinstance(value, dict):
    return {name: _tuples(field) for name, field in value.items()}
  return tuple(map(_tuples, value)) if isinstance(value, list) else value


def with_fields(
  config: ml_collections.ConfigDict, fields: Mapping[str, Any]
) -> ml_collections.ConfigDict:
  """A locked copy of a config with fields replaced, by dotted name.

  Raises ConfigError: no such field, or a value of another type.
  """
  config = config.copy_and_resolve_references().lock()
  try:
    for name, value in fields.items():
      config.update_from_flattened_dict({name: value})
  except KeyError as error:
    raise ConfigError(f'{config.task} has no field {name!r}') from error
  except (TypeError, AttributeError) as error:
    raise ConfigError(f'{name}={value!r}: {error}') from error
  return config.lock()


def parse_fields(changes: Sequence[str]) -> dict[str, Any]:
  """Parses FIELD=VALUE of the option --set; a value that is not a Python literal is a string.

  Raises ConfigError: no name or no '='.
  """
  fields = {}
  for change in changes:
    name, equals, text = change.partition('=')
    if not equals or not name:
      raise ConfigError(f'--set is {change!r}; it must be FIELD=VALUE, such as steps=400')
    try:
      fields[name] = ast.literal_eval(text)
    except (SyntaxError, ValueError):
      fields[name] = text
  return fields
