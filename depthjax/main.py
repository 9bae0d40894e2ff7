"""The flags of `depthjax train`, `evaluate` and `plan`, and of a config file.

depthjax train --config=configs/lensblur.py:smoke --workdir=runs/smoke --config.steps=100
depthjax plan --config=configs/lensblur.py:base --topology=v5e:4x4 --batch_size=64
"""

import functools
import sys

from absl import app, flags
from ml_collections import config_flags

from depthjax import configuring
from depthjax.commands import runner

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file('config', None, 'Config file of the run.', lock_config=True)
flags.DEFINE_string('workdir', None, 'Folder of the run: checkpoints, metrics, pictures, weights.')
flags.DEFINE_enum('split', 'test', ['val', 'test'], 'What to evaluate on.')
flags.DEFINE_string('cluster', '', "'', auto, or host:port,count,index of this process.")
flags.DEFINE_bool('change', False, 'Go on with a run though its config changed.')
flags.DEFINE_string('profile', '', 'Trace these steps of a training run, as START:STOP.')
flags.DEFINE_string('topology', None, 'Plan for it: v5e:4x4, two slices v5e:4x4*2, h100:8, ...')
flags.DEFINE_integer('batch_size', None, "Plan for this batch instead of the config's.", 1)
flags.DEFINE_integer('search', 4, 'Batches that plan may compile to find the largest.', 0)
flags.DEFINE_boolean('quick', False, 'Plan with quick compilations: minutes less, more memory.')
flags.DEFINE_string('json', None, 'File for the plan as JSON.')
flags.mark_flag_as_required('config')

# What a verb cannot do without, beside the config.
_NEEDS = {'train': 'workdir', 'evaluate': 'workdir', 'plan': 'topology'}


def run(verb: str, arguments: list[str]) -> None:
  """Parses the arguments of 'train', 'evaluate' or 'plan' and runs it; ends the process.

  Exit codes:
    0: done.
    1: the run diverged, with the last good state saved.
    2: something that a person must mend, and one line that says what: a config or file that cannot
      work, a full disk, a folder that another run is in, too many records that cannot be read.
      What was saved stays, and the same command goes on from it.
    70: an error that nobody foresaw, with its traceback; of several processes also those that lost
      another one (134 where JAX itself noticed). Starting again may help.
    143: SIGTERM came and the state is saved.

  Raises:
    ConfigError: arguments that cannot work; refused before jax is imported.
  """
  argv = [f'depthjax {verb}', *arguments]
  app.run(functools.partial(_main, verb), argv=argv, flags_parser=parse)


def parse(argv: list[str], values: flags.FlagValues = FLAGS) -> list[str]:
  """Reads the flags and the config file.

  Raises:
    ConfigError: what is wrong with them, or an argument that is no flag.
  """
  try:
    rest = values(argv)
    values.config.task  # noqa: B018  A file that could not be read says so at the first use.
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
    wrong = f'unexpected argument {rest[1]!r}; overrides are --config.X=Y'
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
  """What ml_collections says of a misspelt name, of the errors that it wraps each other in."""
  while error.args and isinstance(error.args[0], Exception):
    error = error.args[0]
  return str(error.args[0])


def _last_line(error: Exception) -> str:
  return str(error).strip().splitlines()[-1].strip()
