"""The command `depthjax`. Invalid input ends it with one line on stderr and exit code 2."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import depthjax
from depthjax import main as main_lib
from depthjax.commands import prepare, runner

_HELP = 'Depth for photographers: refocus photographs, refine depth maps, train the networks.'
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=_HELP)

# The arguments of these commands are parsed by absl: --config, its overrides, and --help.
_FLAGS = {'allow_extra_args': True, 'ignore_unknown_options': True, 'help_option_names': []}
# click's UsageError; newer versions of typer contain click and do not need the package.
_UsageError = typer.BadParameter.__base__


def main() -> None:
  """Runs the command line."""
  runner.use_compilation_cache()
  # Names of files may hold bytes or characters that the terminal's encoding does not have.
  sys.stdout.reconfigure(errors='backslashreplace')
  try:
    sys.exit(app(sys.argv[1:] or ['--help'], prog_name='depthjax', standalone_mode=False))
  except _UsageError as error:
    runner.say(error.format_message())
    sys.exit(2)
  except Exception as error:
    sys.exit(runner.report(error))


def _experiment(context: typer.Context) -> None:
  main_lib.run(context.info_name, context.args)


for _name, _help in {
  'train': 'Train a network: --config=lensblur:small --workdir=runs/x.',
  'evaluate': 'Evaluate the newest checkpoint of a run: --workdir=runs/x [--split=test].',
  'plan': 'Estimate a training step on other devices: --config=... --topology=v5e:4x4.',
}.items():
  app.command(_name, context_settings=_FLAGS, help=_help)(_experiment)


@app.callback(invoke_without_command=True)
def _print_version(
  version: Annotated[bool, typer.Option('--version', help='Print the version.')] = False,
) -> None:
  if version:
    print(f'depthjax {depthjax.__version__}')


@app.command()
def demo(
  folder: Annotated[Path, typer.Option(help='Output folder.')] = Path('demo'),
  config: Annotated[str, typer.Option(help='Config, as in train.')] = 'lensblur',
) -> None:
  """Train the smallest lens blur, refocus a photograph with it, and write a report."""
  runner.begin_training()
  runner.load('demo:run')(folder, config)


app.add_typer(prepare.app, name='prepare')
_VERBS = 'refine mask_refine refocus depth tom_labels tom_masks predictors convert export sweep '
_VERBS += 'compare reproduce score'
for _name in _VERBS.split():
  app.command(_name.replace('_', '-'))(runner.load(f'commands.{_name}:command'))


if __name__ == '__main__':
  main()
