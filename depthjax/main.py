"""Flags of `depthjax train`, `evaluate` and `plan`.

depthjax train --config=configs/lensblur.py:smoke --workdir=runs/smoke --config.steps=100
depthjax plan --config=configs/lensblur.py:base --topology=v5e:4x4 --batch_size=64
"""

import functools
import signal
import sys

from absl import app, flags
from ml_collections import config_flags

from depthjax import configuring
from depthjax.commands import runner

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file('config', None, 'Config file of the run.', lock_config=True)
flags.DEFINE_string('workdir', None, 'Folder for checkpoints, metrics, pictures and weights.')
flags.DEFINE_enum('split', 'test', ['val', 'test'], 'Split to evaluate.')
flags.DEFINE_string('cluster', '', "'', auto, or host:port,count,index of this process.")
flags.DEFINE_bool('change', False, 'Resume a run although its config changed.')
flags.DEFINE_integer(
  'resume', None, 'Resume from the checkpoint of this step; set later ones aside.', 0
)
flags.DEFINE_string('profile', '', 'Profile the training steps START:STOP.')
flags.DEFINE_string('topology', None, 'Hardware: v5e:4x4, v5e:4x4*2 (two slices), h100:8, ...')
flags.DEFINE_integer('batch_size', None, "Batch size to plan for; default: the config's.", 1)
flags.DEFINE_integer('search', 4, 'Maximum number of compilations to find the largest batch.', 0)
flags.DEFINE_boolean('quick', False, 'Compile faster, with a pessimistic memory estimate.')
flags.DEFINE_string('json', None, 'Write the plan to this JSON file.')
flags.mark_flag_as_required('config')

# The flag that each verb requires besides --config.
_NEEDS = {'train': 'workdir', 'evaluate': 'workdir', 'plan': 'topology'}


def run(verb: str, arguments: list[str]) -> None:
  """Parses the arguments of 'train', 'evaluate' or 'plan' and runs it; ends the process.

  Exit codes:
    0: done.
    1: the loss or a gradient was not finite; the message names the checkpoint to go on from.
    2: the user must fix something, which one line names: a config, a file, a full disk, a folder in
      use by another run, too many unreadable records. The same command then resumes the run.
    70: an unexpected error, with its traceback, or the loss of another process of the run (134 if
      JAX detected it). A restart may help.
    130: SIGINT came twice, or before the training had begun; nothing is saved.
    143: stopped by SIGTERM or SIGINT; the state is saved.

  Raises ConfigError for invalid arguments, before jax is imported.
  """
  if '--help' in arguments:
    print(f'{__doc__}\n{FLAGS.module_help(__name__)}')
    return
  if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Without a traceback.
  argv = [f'depthjax {verb}', *arguments]
  app.run(functools.partial(_main, verb), argv=argv, flags_parser=parse)


def parse(argv: list[str], values: flags.FlagValues = FLAGS) -> list[str]:
  """Parses the flags and reads the config file; returns the remaining arguments.

  Raises ConfigError for an invalid flag, an unreadable config file, or a positional argument.
  """
  try:
    rest = values(argv)
    values.config.task  # noqa: B018  Raises here if the config file could not be read.
  except (AttributeError, KeyError) as error:
    wrong = f'--config: unknown name: {_innermost(error)}'
  except OSError as error:
    wrong = f'--config: {_last_line(error)}; expected a file such as configs/lensblur.py'
  except flags.Error as error:
    wrong = _last_line(error)
  except (SyntaxError, ImportError, NameError) as error:
    wrong = f'--config: {configuring.describe_error(error)}'
  else:
    if len(rest) == 1:
      return rest
    wrong = f'unexpected argument {rest[1]!r}; set config fields by --config.NAME=VALUE'
  raise configuring.ConfigError(wrong)


def _main(verb: str, _: list[str]) -> None:
  if not getattr(FLAGS, _NEEDS[verb]):
    raise configuring.ConfigError(f'--{_NEEDS[verb]} is missing')
  runner.hush()
  try:
    work = runner.load('commands.work.experiments:run')
  except Exception as error:
    sys.exit(runner.report(error))
  work(verb, FLAGS)


def _innermost(error: Exception) -> str:
  """The message of the innermost of the nested errors that ml_collections raises."""
  while error.args and isinstance(error.args[0], Exception):
    error = error.args[0]
  return str(error.args[0])


def _last_line(error: Exception) -> str:
  return str(error).strip().splitlines()[-1].strip()
