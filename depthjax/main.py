"""Flags of `depthjax train`, `evaluate` and `plan`.

depthjax train --config=lensblur:smoke --workdir=runs/smoke --config.steps=100
depthjax train --config=my/config.py --workdir=runs/mine
depthjax evaluate --workdir=runs/smoke --raw --json=scores.json
depthjax evaluate --weights=weights.safetensors --split=val
depthjax plan --config=lensblur:base --topology=v5e:4x4 --batch_size=64

--config is a file, a packaged config, the folder of a run, or its config.json; without it, the
config is that of the run in --workdir, or of --weights. Add --config.NAME=VALUE to replace its
fields.
"""

import faulthandler
import os
import sys

import ml_collections
from absl import flags
from ml_collections import config_flags

from depthjax import configuring
from depthjax.commands import runner

_FLAGS = (  # Each with the initials of its verbs.
  ('tep', flags.DEFINE_string, 'workdir', None, 'Folder of checkpoints, metrics and weights.'),
  ('e', flags.DEFINE_enum, 'split', 'test', ['val', 'test'], 'Split to evaluate.'),
  ('e', flags.DEFINE_integer, 'step', None, 'Checkpoint to evaluate; default: the newest.', 0),
  ('e', flags.DEFINE_bool, 'raw', False, 'Evaluate the parameters too, beside their averages.'),
  ('e', flags.DEFINE_string, 'weights', None, 'Weights to evaluate instead of a checkpoint.'),
  ('tep', flags.DEFINE_string, 'cluster', '', "'', auto, or host:port,count,index of process."),
  ('tep', flags.DEFINE_bool, 'change', False, 'Accept another config than of the run or scenes.'),
  ('t', flags.DEFINE_integer, 'resume', None, 'Checkpoint from which to train again.', 0),
  ('t', flags.DEFINE_string, 'profile', '', 'Profile the training steps START:STOP.'),
  ('p', flags.DEFINE_string, 'topology', None, 'Hardware: v5e:4x4, v5e:4x4*2 (slices), h100:8.'),
  ('p', flags.DEFINE_integer, 'batch_size', None, 'Batch size; default: that of the config.', 1),
  ('p', flags.DEFINE_integer, 'search', 4, 'Compilations at most for the largest batch.', 0),
  ('p', flags.DEFINE_bool, 'quick', False, 'Compile faster, with a pessimistic memory estimate.'),
  ('ep', flags.DEFINE_string, 'json', None, 'JSON file for the plan or the scores.'),
)
# The flags of which each verb requires one.
_NEEDS = {'train': ('workdir',), 'evaluate': ('workdir', 'weights'), 'plan': ('topology',)}


def run(verb: str, arguments: list[str]) -> None:
  """Parses the arguments of 'train', 'evaluate' or 'plan' and runs it; ends the process.

  Exit codes:
    0: done.
    1: a loss, gradient or update was not finite; the message names the checkpoint to go on from. Or
      the evaluated network returned NaN or infinity.
    2: the user must fix something, which one line names: a config, a file, a full disk, a folder in
      use by another run, too many unreadable records. The same command then resumes the run.
    70: an unexpected error, with its traceback, or the loss of another process of the run (134 if
      JAX detected it). A restart may help.
    130: SIGINT came twice, or before the training had begun; nothing is saved.
    143: stopped by SIGTERM or SIGINT; the state is saved.

  Raises ConfigError for invalid arguments, before jax is imported.
  """
  values = define(flags.FlagValues(), verb)
  if '--help' in arguments:
    print(f'{__doc__}\n{values.module_help(__name__)}')
    return
  plain = parse([f'depthjax {verb}', *arguments], values)
  if not any(getattr(values, name) for name in _NEEDS[verb]):
    raise configuring.ConfigError(f'--{_NEEDS[verb][0]} is missing')
  runner.begin_training()
  faulthandler.enable(sys.__stderr__)  # Shows where a library in C++ crashed.
  try:
    work = runner.load('commands.work.experiments:run')
  except Exception as error:
    sys.exit(runner.report(error))
  work(verb, values, plain)


def define(values: flags.FlagValues, verb: str) -> flags.FlagValues:
  """Adds the flags of a verb besides --config."""
  for initials, function, *arguments in _FLAGS:
    if verb[0] in initials:
      function(*arguments, flag_values=values)
  return values


def parse(argv: list[str], values: flags.FlagValues) -> ml_collections.ConfigDict:
  """Parses flags into `values`, whose `config` is then the config with its overrides.

  Returns the config without overrides.

  Raises:
    ConfigError: an invalid flag, config or override, or a positional argument.
    InputError: config.json of the run is damaged.
  """
  flags.DEFINE_string('config', None, 'Config of the run.', values)
  try:
    rest = values(argv, known_only=True)  # Overrides are not known yet.
    config = configuring.load(_where(values))
    plain = config.copy_and_resolve_references().lock()
    values.remove_flag_values(['config'])
    config_flags.DEFINE_config_dict('config', config, flag_values=values, sys_argv=rest)
    rest = values(rest)
  except (AttributeError, KeyError) as error:
    wrong = f'--config: unknown name: {_innermost(error)}'
  except flags.Error as error:
    wrong = str(error).strip().splitlines()[-1].strip()
  else:
    if len(rest) == 1:
      return plain
    wrong = f'unexpected argument {rest[1]!r}; set config fields by --config.NAME=VALUE'
  raise configuring.ConfigError(wrong)


def _where(values: flags.FlagValues) -> str:
  """The config to load: that of --config, or of the run in --workdir."""
  if values.config:
    return values.config
  if getattr(values, 'weights', None):
    return str(runner.load('files.weights:file_of')(values.weights))
  workdir = os.path.expanduser(values.workdir or '')
  if values.workdir and os.path.isfile(os.path.join(workdir, configuring.RECORD)):
    return values.workdir
  right = 'a file or a name such as lensblur:small, or --workdir the folder of a run'
  raise configuring.ConfigError(f'--config is missing; it must be {right}')


def _innermost(error: Exception) -> str:
  """The message of the innermost of the nested errors that ml_collections raises."""
  while error.args and isinstance(error.args[0], Exception):
    error = error.args[0]
  return str(error.args[0])
