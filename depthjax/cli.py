"""The command `depthjax`: training verbs and photo tools; bad input is one line and code 2."""

import pathlib
import sys
from typing import Annotated, NoReturn

import typer

from depthjax import demo as demo_lib
from depthjax import main as main_lib
from depthjax.commands import convert, depth, prepare, refine, refocus, reproduce, score
from depthjax.configuring import ConfigError
from depthjax.files.errors import InputError
from depthjax.train.loop import NotFinite, Terminated

app = typer.Typer(
  add_completion=False,
  pretty_exceptions_enable=False,
  help='Depth for photographers: training in JAX, and tools for pictures.',
)

# What follows these verbs is for absl's flags: --config, its overrides, and its own help.
_FLAGS = {'allow_extra_args': True, 'ignore_unknown_options': True, 'help_option_names': []}


# What a wrong command line raises; newer typers carry click inside and no longer need the package.
_UsageError = typer.BadParameter.__base__


def main() -> None:
  """Runs the command line; bad input is one line on stderr and exit code 2."""
  try:
    sys.exit(app(sys.argv[1:] or ['--help'], prog_name='depthjax', standalone_mode=False))
  except (InputError, ConfigError) as error:
    _fail(str(error))
  except (NotFinite, Terminated) as error:
    _fail(str(error), main_lib.code_of(error))
  except _UsageError as error:
    _fail(error.format_message())


def _fail(message: str, code: int = 2) -> NoReturn:
  print('depthjax:', *message.splitlines(), file=sys.stderr)
  sys.exit(code)


@app.command(context_settings=_FLAGS)
def train(context: typer.Context) -> None:
  """Train: --config=configs/lensblur.py:small --workdir=runs/x [--config.steps=100 ...]."""
  main_lib.run('train', context.args)


@app.command(context_settings=_FLAGS)
def evaluate(context: typer.Context) -> None:
  """Evaluate a run's newest checkpoint: --config=... --workdir=... [--split=test]."""
  main_lib.run('evaluate', context.args)


@app.command(context_settings=_FLAGS)
def plan(context: typer.Context) -> None:
  """What a step would cost on devices that are not here: --config=... --topology=v5e:4x4."""
  main_lib.run('plan', context.args)


@app.command()
def demo(
  folder: Annotated[pathlib.Path, typer.Option(help='Where to write.')] = pathlib.Path('demo'),
  config: Annotated[pathlib.Path, typer.Option(help='The config file to train.')] = pathlib.Path(
    'configs/lensblur.py'
  ),
) -> None:
  """Train the smoke size, evaluate it, refocus a real photograph, and write a report."""
  main_lib.hush()
  main_lib.use_compilation_cache()
  demo_lib.run(folder, config)


app.command()(refine.refine)
app.command()(refocus.refocus)
app.command()(depth.depth)
app.command()(convert.convert)
app.add_typer(prepare.app, name='prepare')
app.command()(reproduce.reproduce)
app.command()(score.score)


if __name__ == '__main__':
  main()
