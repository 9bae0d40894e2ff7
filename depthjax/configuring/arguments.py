"""Config files, their arguments and their variants."""

import importlib.util
import pathlib
from collections.abc import Callable

import ml_collections

from depthjax.configuring.checks import ConfigError


def load(path: pathlib.Path, arg: str) -> ml_collections.ConfigDict:
  """The config that `get_config(arg)` of a file returns, locked.

  Raises ConfigError: the file does not exist or is not a config file, or it does not accept `arg`.
  """
  if not path.is_file():
    raise ConfigError(f'{path}: does not exist; expected a config such as configs/lensblur.py')
  spec = importlib.util.spec_from_file_location(f'config_{path.stem}', path)
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except (SyntaxError, ImportError, NameError) as error:
    raise ConfigError(f'{path}: {describe_error(error)}') from error
  if not hasattr(module, 'get_config'):
    raise ConfigError(f'{path}: has no function get_config; expected one, as configs/lensblur.py')
  return module.get_config(arg).lock()


def describe_error(error: Exception) -> str:
  """The error of a config file that Python cannot run, as one line."""
  text = f'{error.msg} in line {error.lineno}' if isinstance(error, SyntaxError) else error
  return f'not a config file: {text}; expected Python such as configs/lensblur.py'


def apply(
  config: ml_collections.ConfigDict,
  field: str,
  name: str,
  **variants: Callable[[ml_collections.ConfigDict], None],
) -> None:
  """Applies the variant that a field of the argument names; raises ConfigError if unknown."""
  if name not in variants:
    raise ConfigError(f'{field} is {name!r}; it can be {", ".join(variants)}')
  variants[name](config)


def parse_arg(arg: str, **fields: str) -> ml_collections.ConfigDict:
  """Parses the argument of a config file: `name=value` pairs joined by commas.

  A value without a name is that of the first field: `config.py:small`. `fields` are the names and
  their defaults. Raises ConfigError: an unknown name.
  """
  for part in filter(None, arg.split(',')):
    name, equals, value = part.partition('=')
    if not equals:
      name, value = next(iter(fields), ''), part
    if name not in fields:
      known = ', '.join(fields)
      raise ConfigError(f'config argument {part!r}: no field {name!r}; there are {known}')
    fields[name] = value
  return ml_collections.ConfigDict(fields)
