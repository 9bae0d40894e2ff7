"""Runs a command: loads its work only then, and turns what ends it early into an exit code.

The modules beside this one hold the options of the verbs and import neither jax nor numpy, so that
`--help` and a wrong command line answer at once. The work is in `commands/work`.
"""

import contextlib
import inspect
import logging as python_logging
import os
import pathlib
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from absl import logging

from depthjax.configuring import ConfigError
from depthjax.files.errors import InputError
from depthjax.train.errors import NotFinite, Terminated

# The exit code of what is expected to end a command early.
_CODES = {InputError: 2, ConfigError: 2, NotFinite: 1, Terminated: 143}
EXPECTED = tuple(_CODES)


def load(name: str) -> Any:
  """Imports what needs jax, numpy or cv2: an object of the package by its name `module:object`."""
  return pkgutil.resolve_name(f'depthjax.{name}')


def command(
  verb: str, options: type[tuple], check: Callable[[Any], None] = lambda _: None
) -> Callable[..., None]:
  """The function that typer makes a command of.

  Args:
    verb: the module of `commands.work` whose `run` takes the options.
    options: a NamedTuple; its fields are the arguments of the command, its docstring the help.
    check: refuses options that don't go together, before anything is loaded.
  """

  def run(**values: Any) -> None:
    given = options(**values)
    check(given)
    load(f'commands.work.{verb}:run')(given)

  run.__signature__ = inspect.signature(options)
  run.__doc__ = options.__doc__
  return run


@contextlib.contextmanager
def refusals(
  prefix: str = '', kinds: tuple[type[Exception], ...] = (ValueError,)
) -> Iterator[None]:
  """Turns errors of these kinds, which say that a value is wrong, into ConfigErrors.

  An InputError, which names a file, stays what it is.
  """
  try:
    yield
  except InputError:
    raise
  except kinds as error:
    raise ConfigError(f'{prefix}{error}') from error


def report(error: Exception) -> int:
  """Prints one line, or the traceback of an unexpected error; returns the exit code."""
  for kind, code in _CODES.items():
    if isinstance(error, kind):
      say(str(error))
      return code
  traceback.print_exc()
  return 70  # Python's own code is 1, and says to launchers that the run diverged.


def say(message: str) -> None:
  """Prints a message in one line on stderr."""
  # In one piece: other threads may have something to say as well.
  sys.stderr.write(f'depthjax: {" ".join(message.splitlines())}\n')


def use_compilation_cache() -> None:
  """Keeps compiled programs between runs, in JAX_COMPILATION_CACHE_DIR or the user's cache.

  Called before anything imports jax, which then reads the variable.
  """
  if not os.environ.get('JAX_COMPILATION_CACHE_DIR'):
    cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME', pathlib.Path.home() / '.cache'))
    os.environ['JAX_COMPILATION_CACHE_DIR'] = str(cache / 'depthjax' / 'xla')


def hush() -> None:
  """Silences Orbax, which logs twenty lines for every save and errors twice."""
  logging.set_verbosity(logging.FATAL)
  python_logging.getLogger('depthjax').setLevel(python_logging.WARNING)
