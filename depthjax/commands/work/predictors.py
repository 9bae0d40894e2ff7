"""`depthjax predictors`: the catalogue as a table; and loading, for the other commands."""

import os
from typing import Any

from depthjax.commands import runner
from depthjax.commands.predictors import Options
from depthjax.commands.work import tables
from depthjax.files import hub
from depthjax.files.errors import InputError
from depthjax.models.predictors.catalogue import CATALOGUE, DEFAULT, Entry

_HEAD = 'name, parameters, MB, output, code, weights, commercial use, where from, in the cache'


def run(options: Options) -> None:
  """Prints the table; needs neither jax nor huggingface_hub."""
  del options
  rows = [
    (
      name,
      f'{entry.parameters / 1e6:.1f} M',
      f'{entry.size / 1e6:,.0f}',
      'metric' if entry.metric else 'relative',
      entry.code,
      entry.weights,
      _yes(entry.commercial),
      entry.repository or entry.url,
      {None: 'unknown'}.get(cached := _cached(entry), _yes(cached)) if entry.repository else '–',
    )
    for name, entry in CATALOGUE.items()
  ]
  tables.show(_HEAD.split(', '), rows)
  print(f'{DEFAULT} is the default; code and weights: their licences')


def load(which: str | os.PathLike) -> Any:
  """Loads a predictor as `pipelines.predictors.load`, whose arguments, result and errors it has.

  Before a named one is downloaded, its licence is printed.
  """
  entry = CATALOGUE.get(os.fspath(which))
  if entry and entry.repository and _cached(entry) is False:
    use = 'commercial use allowed' if entry.commercial else 'no commercial use'
    print(f'{which}: weights {entry.weights}, {use}; code {entry.code}')
  # By name, because it imports jax, which the list does not need.
  return runner.load('pipelines.predictors:load')(which)


def _cached(entry: Entry) -> bool | None:
  """Whether the weights are in the Hub's cache, or None without huggingface_hub."""
  try:
    return hub.cached(entry.repository, entry.revision) is not None
  except InputError:
    return None


def _yes(value: bool | None) -> str:
  return 'yes' if value else 'no'
