"""Config files, their arguments and variants."""

import importlib.util
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from depthjax.configuring.errors import ConfigError


def load(path: pathlib.Path, arg: str) -> ml_collections.ConfigDict:
  """The config that a file's `get_config(arg)` returns, locked.

  Raises:
    ConfigError: no such file, or none of a config; what the file refuses of `arg`.
  """
  if not path.is_file():
    raise ConfigError(f'{path} does not exist; expected a config file such as configs/lensblur.py')
  spec = importlib.util.spec_from_file_location(f'config_{path.stem}', path)
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except (SyntaxError, ImportError, NameError) as error:
    raise ConfigError(f'{path}: {no_config(error)}') from error
  if not hasattr(module, 'get_config'):
    raise ConfigError(f'{path} has no get_config; expected a config file')
  return module.get_config(arg).lock()


def no_config(error: Exception) -> str:
  """Why a file is none that Python can run, in one line."""
  where = f' in line {error.lineno}' if isinstance(error, SyntaxError) else ''
  text = error.msg if isinstance(error, SyntaxError) else error
  return f'not a config file: {text}{where}; expected Python such as configs/lensblur.py'


def apply_size(
  config: ml_collections.ConfigDict,
  size: str,
  **sizes: Callable[[ml_collections.ConfigDict], None],
) -> None:
  """Changes a config to the size of that name.

  Raises:
    ConfigError: no such size.
  """
  apply(config, 'size', size, sizes)


def apply(
  config: ml_collections.ConfigDict,
  field: str,
  name: str,
  choices: Mapping[str, Callable[[ml_collections.ConfigDict], None]],
) -> None:
  """Changes a config to one of several variants, named by a field of its argument.

  Raises:
    ConfigError: no such variant.
  """
  if name not in choices:
    raise ConfigError(f'{field} is {name!r}; it can be {", ".join(choices)}')
  choices[name](config)


def parse_arg(arg: str, **fields: Any) -> ml_collections.ConfigDict:
  """The argument of a config file, `name` or `name=value` joined by commas, as typed fields.

  A bare word is the value of the first field (`config.py:small`), or sets a boolean of its name.

  Raises:
    ConfigError: an unknown field or a value of another type.
  """
  parsed = ml_collections.ConfigDict(fields)
  first = next(iter(fields), None)
  for part in filter(None, arg.split(',')):
    name, equals, text = part.partition('=')
    if not equals and not isinstance(fields.get(name), bool):
      name, text = first, part
    if name not in fields:
      known = ', '.join(fields)
      raise ConfigError(f'config argument {part!r}: no field {name!r}; there are {known}')
    parsed[name] = _typed(name, text, fields[name]) if equals or text else True
  return parsed


def _typed(name: str, text: str, default: Any) -> Any:
  if isinstance(default, bool):
    if text.lower() not in ('true', 'false', '1', '0'):
      raise ConfigError(f'config argument {name}={text!r}: true or false')
    return text.lower() in ('true', '1')
  try:
    return type(default)(text)
  except ValueError as error:
    kind = type(default).__name__
    raise ConfigError(f'config argument {name}={text!r}: not of type {kind}') from error
