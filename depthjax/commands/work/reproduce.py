"""`depthjax reproduce`: trains and evaluates what a table needs, prints and writes the table."""

import pathlib
from collections.abc import Collection

from rich.console import Console
from rich.table import Table as Grid

from depthjax import configuring
from depthjax.commands import runner
from depthjax.commands.reproduce import Options
from depthjax.configuring import ConfigError
from depthjax.files.errors import InputError
from depthjax.pipelines.refine import refine
from depthjax.reproduce import deeplens, sddr, table
from depthjax.reproduce.lab import Lab

_PAPERS = {'deeplens': deeplens, 'sddr': sddr}


def run(options: Options) -> None:
  """Reproduces one table."""
  name, size, root, configs, change, given, document = options
  paper, change = _PAPERS[name.partition('/')[0]], change or []
  _check_paths(document, root)
  weights = _weights(given or [], paper.EXPERIMENTS)
  fields = configuring.parse_fields(change)
  configs = configs or configuring.PACKAGED
  lab = Lab(root.absolute(), configs, size, fields, paper.EXPERIMENTS, weights)
  for experiment in paper.EXPERIMENTS:  # Refuses unknown fields before hours of training.
    lab.config(experiment)
  runner.hush()
  filled = table.fill(paper.TABLES[name], lab)
  _print(filled)
  if document is not None:
    table.write(document, name, table.markdown(filled, *_origin(name, size, change, lab.used)))
    print(f'written: {document}')


def _check_paths(document: pathlib.Path | None, root: pathlib.Path) -> None:
  """Refuses paths that cannot be written, before hours of training."""
  if root.exists() and not root.is_dir():
    raise InputError(root, 'is not a folder', 'a folder or a new name')
  if document is None:
    return
  try:
    document.parent.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(document, f'cannot be written ({error.strerror})', 'another name') from error
  table.read(document)


def _weights(given: list[str], experiments: Collection[str]) -> dict[str, pathlib.Path]:
  """Parses NAME=PATH, and checks that the weights can be loaded."""
  result = {}
  for text in given:
    name, equals, path = text.partition('=')
    if not equals or not path:
      right = 'EXPERIMENT=WEIGHTS, such as sddr-first=runs/first'
      raise ConfigError(f'--given is {text!r}; it must be {right}')
    if name not in experiments:
      known = ', '.join(experiments)
      raise ConfigError(f'--given has no experiment {name!r}; it must be one of {known}')
    refine.load(path)
    result[name] = pathlib.Path(path).absolute()
  return result


def _origin(name: str, size: str, changes: list[str], given: Collection[str]) -> tuple[str, str]:
  """The command for a table, and a description of the training."""
  options = [*(f'--set={c}' for c in changes), *(f'--given={x}=WEIGHTS' for x in sorted(given))]
  command = ' '.join([f'depthjax reproduce {name} --size={size}', *options])
  words = f'configs of size `{size}`'
  words += f' with {", ".join(changes)}' if changes else ''
  words += f', {", ".join(sorted(given))} not trained but given' if given else ''
  return command, f'{words}, evaluated on the split test'


def _print(filled: table.Filled) -> None:
  head, body = table.cells(filled)
  grid = Grid(title=f'{filled.table.name}: {filled.table.title}')
  for i, column in enumerate(head):
    grid.add_column(column, justify='left' if i == 0 else 'right')
  for row in body:
    grid.add_row(*row)
  console = Console()
  # A table wider than the terminal wraps its lines instead of truncating numbers.
  wanted = console.measure(grid, options=console.options.update(max_width=1000)).maximum
  console = Console(width=max(console.width, wanted))
  console.print(grid, f'Data: {filled.table.data}', f'Expected: {filled.table.expected}', sep='\n')
