"""`depthjax reproduce`: trains and evaluates what a table needs, prints and writes the table."""

import pathlib
from collections.abc import Callable, Collection

from depthjax import tasks
from depthjax.commands import runner
from depthjax.commands.reproduce import Options
from depthjax.commands.work import tables
from depthjax.configuring import ConfigError, parse_fields
from depthjax.files import weights
from depthjax.files.errors import InputError
from depthjax.pipelines.mask_refine import learned
from depthjax.pipelines.refine import refine
from depthjax.reproduce import deeplens, layered, sddr, table, tom
from depthjax.reproduce.lab import Lab
from depthjax.train import workdir

# Each with the function that loads given weights.
_PAPERS = {
  'deeplens': (deeplens, None),
  'sddr': (sddr, refine.load),
  'layered': (layered, learned.load),
  'tom': (tom, lambda path: weights.load_network(path, tasks.PREDICTORS | tasks.SEGMENTERS)),
}


def run(options: Options) -> None:
  """Reproduces one table."""
  name, size, root, change, given, seeds, document = options
  (paper, load), change = _PAPERS[name.partition('/')[0]], change or []
  root = workdir.resolve(root)
  if document is not None:
    _check_document(document)
  weights = _weights(given or [], paper.EXPERIMENTS, load)
  fields = parse_fields(change)
  labs = [Lab(root, size, fields, paper.EXPERIMENTS, weights, seed) for seed in range(seeds)]
  for experiment in paper.EXPERIMENTS:  # Refuses unknown fields before hours of training.
    labs[0].config(experiment)
  runner.begin_training()
  filled = table.fill(paper.TABLES[name], labs)
  tables.show(*table.cells(filled), title=f'{filled.table.name}: {filled.table.title}')
  print(f'Data: {filled.table.data}\nExpected: {filled.table.expected}')
  if document is not None:
    runs = sorted(set().union(*(lab.origins for lab in labs)))
    origin = _origin(name, size, change, set().union(*(lab.used for lab in labs)), seeds)
    table.write(document, name, table.markdown(filled, *origin, runs))
    print(f'written: {document}')


def _check_document(document: pathlib.Path) -> None:
  """Refuses a document that cannot be written, before hours of training."""
  try:
    document.parent.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(document, f'cannot be written ({error.strerror})', 'another name') from error
  table.read(document)


def _weights(
  given: list[str], experiments: Collection[str], load: Callable
) -> dict[str, pathlib.Path]:
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
    load(path)
    result[name] = pathlib.Path(path).absolute()
  return result


def _origin(
  name: str, size: str, changes: list[str], given: Collection[str], seeds: int
) -> tuple[str, str]:
  """The command for a table, and a description of the training."""
  options = [*(f'--set={c}' for c in changes), *(f'--given={x}=WEIGHTS' for x in sorted(given))]
  options += [f'--seeds={seeds}'] if seeds > 1 else []
  command = ' '.join([f'depthjax reproduce {name} --size={size}', *options])
  words = f'configs of size `{size}`'
  words += f' with {", ".join(changes)}' if changes else ''
  words += f', {", ".join(sorted(given))} not trained but given' if given else ''
  return command, f'{words}, evaluated on the split test'
