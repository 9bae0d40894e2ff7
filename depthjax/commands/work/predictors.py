"""`depthjax predictors`: the catalogue as a table."""

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


def _cached(entry: Entry) -> bool | None:
  """Whether the weights are in the Hub's cache, or None without huggingface_hub."""
  try:
    return hub.cached(entry.repository, entry.revision) is not None
  except InputError:
    return None


def _yes(value: bool | None) -> str:
  return 'yes' if value else 'no'
