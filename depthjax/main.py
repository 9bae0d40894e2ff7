"""Flags to a training run or an evaluation: `depthjax train`, `depthjax evaluate`.

  depthjax train --config=configs/lensblur.py:smoke --workdir=runs/smoke --config.steps=100
"""

import os
import pathlib
import sys

from absl import app, flags, logging
import jax
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
  that diverged, 143 after SIGTERM with the state saved.
  """
  actions = {'train': _train, 'evaluate': _evaluate}
  try:
    app.run(lambda argv: _main(actions[verb], argv), argv=[f'depthjax {verb}', *arguments])
  except configuring.ConfigError as error:  # Raised by the config file itself, as it is parsed.
    _fail(error, 2)


def _main(action, argv: list[str]) -> None:
  try:
    if len(argv) > 1:
      raise configuring.ConfigError(f'unexpected argument {argv[1]!r}; overrides are --config.X=Y')
    logging.set_verbosity(logging.WARNING)  # Orbax tells every save in twenty lines.
    parallel.start(FLAGS.cluster)
    use_compilation_cache()
    action(FLAGS.config, pathlib.Path(FLAGS.workdir).absolute())
  except (configuring.ConfigError, InputError) as error:
    _fail(error, 2)
  except loop.NotFinite as error:
    _fail(error, 1)
  except loop.Terminated as error:
    _fail(error, 143)


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


def _fail(error: Exception, code: int) -> None:
  print(f'depthjax: {error}', file=sys.stderr)
  sys.exit(code)
