"""`depthjax reproduce`: a published table again, ours beside the paper's."""

import pathlib
from typing import Annotated, NamedTuple

from typer import Argument, Option

from depthjax.commands import runner
from depthjax.configuring import ConfigError
from depthjax.reproduce.names import ALL, Name


class Options(NamedTuple):
  """Train what a table of a paper needs, evaluate it, and print ours beside the paper's."""

  name: Annotated[str, Argument(help=f'One of {ALL}.')]
  size: Annotated[str, Option(help='Size of the configs to train.')] = 'small'
  root: Annotated[pathlib.Path, Option(help='Folder of runs; what is there is reused.')] = (
    pathlib.Path('runs/reproduce')
  )
  configs: Annotated[pathlib.Path, Option(help='Folder of the config files.')] = pathlib.Path(
    'configs'
  )
  change: Annotated[
    list[str] | None, Option('--set', help='Field of every config, as steps=400.')
  ] = None
  given: Annotated[
    list[str] | None,
    Option(help='Weights in place of an experiment, as sddr-first=runs/first.'),
  ] = None
  document: Annotated[
    pathlib.Path | None, Option(help='Markdown file to write the table into.')
  ] = pathlib.Path('docs/reproduction.md')


def _check(options: Options) -> None:
  if options.name not in tuple(Name):
    raise ConfigError(f'no table {options.name!r}; there are {ALL}')
  if options.given and not options.name.startswith('sddr/'):
    raise ConfigError('--given is for tables of sddr; those of others need whole runs')


command = runner.command('reproduce', Options, _check)
