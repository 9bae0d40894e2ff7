"""Flags to what a config can be used for: `depthjax train`, `evaluate` and `plan`.

depthjax train --config=configs/lensblur.py:smoke --workdir=runs/smoke --config.steps=100
depthjax plan --config=configs/lensblur.py:base --topology=v5e:4x4 --batch_size=64
"""

import functools
import json
import logging as python_logging
import os
import pathlib
import signal
import sys
import traceback
from typing import NoReturn

import jax
import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags
from rich.console import Console

from depthjax import configuring, processes
from depthjax.files import atomic
from depthjax.files.errors import InputError
from depthjax.plan import planning, report
from depthjax.plan import topology as topology_lib
from depthjax.train import evaluate as evaluate_lib
from depthjax.train import loop, profile, resume

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
  """
  actions = {'train': _train, 'evaluate': _evaluate, 'plan': _plan}
  argv = [f'depthjax {verb}', *arguments]
  main = functools.partial(_main, actions[verb], _NEEDS[verb])
  app.run(main, argv=argv, flags_parser=parse)


def parse(argv: list[str], values: flags.FlagValues = FLAGS) -> list[str]:
  """Reads the flags and the config file; what is wrong with them ends the process in one line."""
  try:
    rest = values(argv)
    values.config.task  # noqa: B018  A file that could not be read says so at the first use.
    return rest
  except configuring.ConfigError as error:
    _fail(error, 2)
  except (AttributeError, KeyError) as error:
    _fail(f'--config: unknown name: {_innermost(error)}', 2)
  except OSError as error:
    _fail(f'--config: {_last_line(error)}; expected a file such as configs/lensblur.py', 2)
  except flags.Error as error:
    _fail(_last_line(error), 2)
  except (SyntaxError, ImportError, NameError) as error:
    _fail(f'--config: {configuring.no_config(error)}', 2)


def _main(action, needed: str, argv: list[str]) -> None:
  try:
    if len(argv) > 1:
      raise configuring.ConfigError(f'unexpected argument {argv[1]!r}; overrides are --config.X=Y')
    if not getattr(FLAGS, needed):
      raise configuring.ConfigError(f'--{needed} is missing')
    hush()
    processes.start(FLAGS.cluster)
    use_compilation_cache()
    action(FLAGS.config)
  except (configuring.ConfigError, InputError) as error:
    _fail(error, 2)
  except (loop.NotFinite, loop.Terminated) as error:
    _fail(error, code_of(error))
  except Exception:  # Python's own code is 1, and says to launchers that the run diverged.
    traceback.print_exc()
    _leave(70)


def code_of(error: loop.NotFinite | loop.Terminated) -> int:
  """The exit code of a run that ended early: 1 where it diverged, 143 as SIGTERM's."""
  return 1 if isinstance(error, loop.NotFinite) else 143


def hush() -> None:
  """Leaves the terminal to us: Orbax tells every save in twenty lines, and errors twice."""
  logging.set_verbosity(logging.FATAL)
  python_logging.getLogger('depthjax').setLevel(python_logging.WARNING)


def use_compilation_cache() -> None:
  """Keeps compiled programs between runs, in JAX_COMPILATION_CACHE_DIR or the user's cache."""
  folder = os.environ.get('JAX_COMPILATION_CACHE_DIR')
  cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME', pathlib.Path.home() / '.cache'))
  jax.config.update('jax_compilation_cache_dir', folder or str(cache / 'depthjax' / 'xla'))


def _workdir() -> pathlib.Path:
  workdir = pathlib.Path(FLAGS.workdir).absolute()
  if workdir.exists() and not workdir.is_dir():
    raise InputError(workdir, 'is not a folder', 'a folder, or a new name for one')
  return workdir


def _train(config) -> None:
  workdir = _workdir()
  terms = resume.Terms(change=FLAGS.change, plain=_plain())
  loop.train(config, workdir, terms, profile=profile.parse(FLAGS.profile))
  processes.together()
  if jax.process_index() == 0:
    print(f'done: {workdir}')


def _plain() -> ml_collections.ConfigDict:
  """The config as its file has it, without the overrides of the command line."""
  path, _, arg = config_flags.get_config_filename(FLAGS['config']).partition(':')
  return configuring.load(pathlib.Path(path), arg)


def _evaluate(config) -> None:
  signal.signal(signal.SIGTERM, signal.SIG_DFL)  # JAX's of several processes waits for train's.
  scores = evaluate_lib.newest(config, _workdir(), FLAGS.split)
  if jax.process_index() == 0:
    for name, value in scores.items():
      print(f'{name:24} {value:.4f}')


def _plan(config) -> None:
  if FLAGS.json:
    atomic.check_output(FLAGS.json, ('.json',))  # Before minutes of compiling.
  if FLAGS.batch_size:
    config.batch_size = config.eval.examples = FLAGS.batch_size
  topology = topology_lib.find(FLAGS.topology)
  console = Console(soft_wrap=True)
  plan = planning.plan(config, topology, search=FLAGS.search, quick=FLAGS.quick, say=console.print)
  report.show(plan, console)
  if FLAGS.json:
    text = json.dumps(report.as_json(plan), indent=2) + '\n'
    atomic.write_bytes(pathlib.Path(FLAGS.json), text.encode(), ('.json',))


def _innermost(error: Exception) -> str:
  """What ml_collections says of a misspelt name, of the errors that it wraps each other in."""
  while error.args and isinstance(error.args[0], Exception):
    error = error.args[0]
  return str(error.args[0])


def _last_line(error: Exception) -> str:
  return str(error).strip().splitlines()[-1].strip()


def _fail(error: Exception | str, code: int) -> NoReturn:
  # In one piece: other threads may have something to say as well.
  sys.stderr.write(f'depthjax: {" ".join(str(error).splitlines())}\n')
  _leave(code)


def _leave(code: int) -> NoReturn:
  if jax.distributed.is_initialized():
    processes.leave(code)
  sys.exit(code)
