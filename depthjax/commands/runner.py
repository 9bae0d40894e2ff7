"""Runs a command: imports its work only when needed, and turns errors into exit codes.

The modules beside this one define the options and do not import jax or numpy, so that `--help` and
messages about invalid options are immediate. The work is in `commands/work`.
"""

import contextlib
import inspect
import logging as python_logging
import os
import pathlib
import pkgutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from absl import logging

from depthjax.configuring import ConfigError
from depthjax.files.errors import InputError
from depthjax.train.errors import NotFinite, Terminated

# Exit codes of errors that are reported in one line.
_CODES = {InputError: 2, ConfigError: 2, NotFinite: 1, Terminated: 143}


def load(name: str) -> Any:
  """Imports an object of the package by its name `module:object`; for modules that need jax."""
  return pkgutil.resolve_name(f'depthjax.{name}')


def command(
  verb: str, options: type[tuple], check: Callable[[Any], None] = lambda _: None
) -> Callable[..., None]:
  """The function from which typer makes a command; it calls `commands.work.VERB.run(options)`.

  The fields of the NamedTuple `options` are the arguments, its docstring is the help. `check`
  refuses combinations of options before anything else is imported. The option `quiet`, if there is
  one, silences stdout.
  """

  def run(**values: Any) -> None:
    given = options(**values)
    check(given)
    with open(os.devnull, 'w') as null:
      with contextlib.redirect_stdout(null if values.get('quiet') else sys.stdout):
        load(f'commands.work.{verb}:run')(given)

  run.__signature__ = inspect.signature(options)
  run.__doc__ = options.__doc__
  return run


@contextlib.contextmanager
def refusals(
  prefix: str = '', kinds: tuple[type[Exception], ...] = (ValueError,)
) -> Iterator[None]:
  """Turns exceptions about invalid values into ConfigErrors; an InputError is not changed."""
  try:
    yield
  except InputError:
    raise
  except kinds as error:
    raise ConfigError(f'{prefix}{error}') from error


def report(error: Exception, prefix: str = '') -> int:
  """Prints one line, or the traceback of an unexpected error; returns the exit code."""
  for kind, code in _CODES.items():
    if isinstance(error, kind):
      say(f'{prefix}{error}')
      return code
  traceback.print_exc()
  return 70  # Not Python's 1, which tells launchers that the loss was not finite.


def say(message: str) -> None:
  """Prints a message in one line on stderr."""
  # A single write, because other threads may write as well.
  sys.stderr.write(f'depthjax: {" ".join(message.splitlines())}\n')


def use_compilation_cache() -> None:
  """Sets JAX_COMPILATION_CACHE_DIR, if it is not set, before jax is imported."""
  os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
  if not os.environ.get('JAX_COMPILATION_CACHE_DIR'):
    cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME', pathlib.Path.home() / '.cache'))
    os.environ['JAX_COMPILATION_CACHE_DIR'] = str(cache / 'depthjax' / 'xla')


def begin_training() -> None:
  """Silences Orbax, and lets Ctrl-C end the process until a run handles it.

  Orbax logs twenty lines for every save and errors twice; JAX ignores exceptions in its callbacks,
  such as KeyboardInterrupt.
  """
  logging.set_verbosity(logging.FATAL)
  python_logging.getLogger('depthjax').setLevel(python_logging.WARNING)
  if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
