"""Files that hold configs: Python files with `get_config`, and the records of runs."""

import importlib.util
import json
import os
import pathlib
import traceback
from collections.abc import Callable
from typing import Any

import ml_collections

from depthjax.configuring.errors import ConfigError
from depthjax.files import renamed
from depthjax.files.errors import InputError

PACKAGED = pathlib.Path(__file__).parents[1] / 'configs'  # In a checkout a link to configs/.
RECORD = 'config.json'  # In the folder of a run.
_RIGHT = 'a config file such as configs/lensblur.py'


def packaged() -> list[str]:
  """The names of the configs in the package, which are also those of their tasks."""
  return sorted(path.stem for path in PACKAGED.glob('*.py'))


def run_file(path: pathlib.Path, arg: str = '') -> ml_collections.ConfigDict:
  """The config that `get_config(arg)` of a Python file returns.

  Raises ConfigError: the file is not Python, and as `called`.
  """
  if path.suffix != '.py':
    raise ConfigError(f'{path}: is not a Python file; expected {_RIGHT}')
  spec = importlib.util.spec_from_file_location(f'config_{path.stem}', path)
  module = importlib.util.module_from_spec(spec)

  def get_config(arg: str) -> Any:
    spec.loader.exec_module(module)
    return module.get_config(arg)

  return called(get_config, arg, path)


def called(get_config: Callable, arg: str, where: Any) -> ml_collections.ConfigDict:
  """The config that a function returns.

  Raises ConfigError: it returns something else, or raises an exception, which is named with its
  line in the file `where`.
  """
  try:
    config = get_config(arg)
  except ConfigError:
    raise
  except (Exception, SystemExit) as error:
    raise ConfigError(f'{where}: {_described(error, where)}; expected {_RIGHT}') from error
  if not isinstance(config, ml_collections.ConfigDict):
    raise ConfigError(f'{where}: get_config returned {config!r:.60}; expected a ConfigDict')
  return config


def _described(error: BaseException, path: Any) -> str:
  """The kind, the line in this file and the message of an error, as one line."""
  frames = traceback.extract_tb(error.__traceback__)
  lines = [x.lineno for x in frames if os.path.abspath(x.filename) == os.path.abspath(path)]
  where = f' in line {lines[-1]}' if lines else ''
  return f'{type(error).__name__}{where}: {" ".join(str(error).split())}'


def recorded(path: pathlib.Path) -> dict[str, Any]:
  """The recorded config of a run or of weights, in the current names of fields and tasks.

  Raises InputError if the file is damaged or holds something else.
  """
  try:
    data = path.read_bytes()
    if path.suffix == '.safetensors':  # Read without numpy, which flags are parsed before.
      header = json.loads(data[8 : 8 + int.from_bytes(data[:8], 'little')])
      table = json.loads(header['__metadata__']['depthjax'])['config']
    else:
      table = json.loads(data)
    table = renamed.config(table)
    kind = 'predictions' if 'predictions' in table['data'] else 'scene'
    return {
      **table,
      'task': renamed.task(table['task']),
      # Fields that older versions did not record.
      'data': {'kind': kind, **table['data']},
      'optimizer': {'name': 'adamw', 'schedule': 'cosine', 'power': 1.0, **table['optimizer']},
    }
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    wrong = 'does not hold the config of the run'
    raise InputError(path, wrong, 'the file that the run wrote, or no file') from error
