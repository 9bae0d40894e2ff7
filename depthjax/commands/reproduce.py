"""Options of `depthjax reproduce`: reproduces a table of a paper."""

from pathlib import Path
from typing import Annotated, NamedTuple

from typer import Argument, Option

from depthjax.commands import runner
from depthjax.configuring import ConfigError
from depthjax.reproduce.names import ALL, Name


class Options(NamedTuple):
  """Train what a table of a paper needs, evaluate it, and print our numbers beside the paper's."""

  name: Annotated[str, Argument(help=f'One of {ALL}.')]
  size: Annotated[str, Option(help='Size of the configs.')] = 'small'
  root: Annotated[Path, Option(help='Runs; existing ones are reused.')] = Path('runs/reproduce')
  change: Annotated[
    list[str] | None, Option('--set', help='Set a field of all configs, such as steps=400.')
  ] = None
  given: Annotated[
    list[str] | None, Option(help='Weights instead of training, such as sddr-first=runs/first.')
  ] = None
  seeds: Annotated[int, Option(min=1, help='Trainings of each experiment: seeds 0, 1, ...')] = 1
  document: Annotated[Path | None, Option(help='Markdown file in which to write the table.')] = (
    Path('docs/reproduction.md')
  )


def _check(options: Options) -> None:
  if options.name not in tuple(Name):
    raise ConfigError(f'there is no table {options.name!r}; it must be one of {ALL}')
  if options.given and options.name.startswith('deeplens/'):
    raise ConfigError(f'--given is set for {options.name}; only sddr, layered and tom support it')
  if options.seeds > 1 and any(x.startswith('seed=') for x in options.change or []):
    raise ConfigError('--set has the field seed; omit it, since --seeds sets it')


command = runner.command('reproduce', Options, _check)
