"""Arguments of config files, and their variants."""

from collections.abc import Callable

import ml_collections

from depthjax.configuring.errors import ConfigError


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
