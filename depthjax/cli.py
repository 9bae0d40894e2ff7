"""The command `depthjax`: training verbs and photo tools; bad input is one line and code 2."""

import pathlib
import sys
from typing import Annotated

import typer

from depthjax import main as main_lib
from depthjax.commands import convert, depth, prepare, refine, refocus, reproduce, runner, score

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
  runner.use_compilation_cache()
  try:
    sys.exit(app(sys.argv[1:] or ['--help'], prog_name='depthjax', standalone_mode=False))
  except runner.EXPECTED as error:
    sys.exit(runner.report(error))
  except _UsageError as error:
    runner.say(error.format_message())
    sys.exit(2)


def _experiment(context: typer.Context) -> None:
  main_lib.run(context.info_name, context.args)


for _verb, _help in {
  'train': 'Train: --config=configs/lensblur.py:small --workdir=runs/x [--config.steps=100 ...].',
  'evaluate': "Evaluate a run's newest checkpoint: --config=... --workdir=... [--split=test].",
  'plan': 'What a step would cost on devices that are not here: --config=... --topology=v5e:4x4.',
}.items():
  app.command(_verb, context_settings=_FLAGS, help=_help)(_experiment)


@app.command()
def demo(
  folder: Annotated[pathlib.Path, typer.Option(help='Where to write.')] = pathlib.Path('demo'),
  config: Annotated[pathlib.Path, typer.Option(help='The config file to train.')] = pathlib.Path(
    'configs/lensblur.py'
  ),
) -> None:
  """Train the smoke size, evaluate it, refocus a real photograph, and write a report."""
  runner.hush()
  runner.load('demo:run')(folder, config)


app.command('refine')(refine.command)
app.command('refocus')(refocus.command)
app.command('depth')(depth.command)
app.command('convert')(convert.command)
app.add_typer(prepare.app, name='prepare')
app.command('reproduce')(reproduce.command)
app.command('score')(score.command)


if __name__ == '__main__':
  main()
