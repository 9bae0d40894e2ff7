"""Flags to a training run or an evaluation: `depthjax train`, `depthjax evaluate`.

depthjax train --config=configs/lensblur.py:smoke --workdir=runs/smoke --config.steps=100
"""

import os
import pathlib
import sys
import traceback
from typing import NoReturn

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from depthjax import configuring, parallel
from depthjax.files.errors import InputError
from depthjax.train import evaluate as evaluate_lib
from depthjax.train import loop

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file('config', None, 'Config file of the run.', lock_config=True)
flags.DEFINE_string('workdir', None, 'Folder of the run: checkpoints, metrics, pictures, weights.')
flags.DEFINE_enum('split', 'test', ['val', 'test'], 'What to evaluate on.')
flags.DEFINE_string('cluster', '', "'', auto, or host:port,count,index of this process.")
flags.mark_flags_as_required(['config', 'workdir'])


def run(verb: str, arguments: list[str]) -> None:
  """Parses the arguments of 'train' or 'evaluate' and runs it; ends the process.

  Exit code 0 when done, 2 for a config or file that cannot work (one line says why), 1 for a run
  that diverged, 143 after SIGTERM with the state saved, 70 for anything unforeseen, such as another
  process of the run that was lost: a launcher may try that again.
  """
  actions = {'train': _train, 'evaluate': _evaluate}
  argv = [f'depthjax {verb}', *arguments]
  app.run(lambda argv: _main(actions[verb], argv), argv=argv, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
  """Reads the flags and the config file; what is wrong with them ends the process in one line."""
  try:
    rest = FLAGS(argv)
    FLAGS.config.task  # noqa: B018  A file that could not be read says so at the first use.
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


def _main(action, argv: list[str]) -> None:
  try:
    if len(argv) > 1:
      raise configuring.ConfigError(f'unexpected argument {argv[1]!r}; overrides are --config.X=Y')
    logging.set_verbosity(logging.ERROR)  # Orbax tells every save in twenty lines.
    parallel.start(FLAGS.cluster)
    use_compilation_cache()
    workdir = pathlib.Path(FLAGS.workdir).absolute()
    if workdir.exists() and not workdir.is_dir():
      raise InputError(workdir, 'is not a folder', 'a folder, or a new name for one')
    action(FLAGS.config, workdir)
  except (configuring.ConfigError, InputError) as error:
    _fail(error, 2)
  except (loop.NotFinite, loop.Terminated) as error:
    _fail(error, code_of(error))
  except Exception:  # Python's own code is 1, and says to launchers that the run diverged.
    traceback.print_exc()
    if FLAGS.cluster:
      # At its exit JAX waits five minutes for the other processes, and they for this one.
      sys.stdout.flush()
      os._exit(70)
    sys.exit(70)


def code_of(error: loop.NotFinite | loop.Terminated) -> int:
  """The exit code of a run that ended early: 1 where it diverged, 143 as SIGTERM's."""
  return 1 if isinstance(error, loop.NotFinite) else 143


def use_compilation_cache() -> None:
  """Keeps compiled programs between runs, in JAX_COMPILATION_CACHE_DIR or the user's cache."""
  folder = os.environ.get('JAX_COMPILATION_CACHE_DIR')
  cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME', pathlib.Path.home() / '.cache'))
  jax.config.update('jax_compilation_cache_dir', folder or str(cache / 'depthjax' / 'xla'))


def _train(config, workdir: pathlib.Path) -> None:
  loop.train(config, workdir)
  if jax.process_index() == 0:
    print(f'done: {workdir}')


def _evaluate(config, workdir: pathlib.Path) -> None:
  scores = evaluate_lib.newest(config, workdir, FLAGS.split)
  if jax.process_index() == 0:
    for name, value in scores.items():
      print(f'{name:24} {value:.4f}')


def _innermost(error: Exception) -> str:
  """What ml_collections says of a misspelt name, of the errors that it wraps each other in."""
  while error.args and isinstance(error.args[0], Exception):
    error = error.args[0]
  return str(error.args[0])


def _last_line(error: Exception) -> str:
  return str(error).strip().splitlines()[-1].strip()


def _fail(error: Exception | str, code: int) -> NoReturn:
  print('depthjax:', *str(error).splitlines(), file=sys.stderr)
  sys.exit(code)
