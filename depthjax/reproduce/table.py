"""A published table, our values for its rows, and both as Markdown."""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from depthjax.files import atomic
from depthjax.files.errors import InputError
from depthjax.reproduce.lab import Lab

NO_WEIGHTS = 'its weights are not available'  # Note of a row that we cannot measure.
_END = '<!-- end -->'
_TITLE = """# Reproduction

Tables of the papers, ours beside theirs. `depthjax reproduce NAME` writes this file: it trains what
a table needs, or reuses runs that exist. Most data sets of the papers are not available, so compare
orders and differences of rows with the paper, not values."""


class Row(NamedTuple):
  """One row: the paper's values, and how to measure ours."""

  label: str  # As in the paper.
  paper: tuple[float | None, ...]  # By Table.paper_columns, None for a missing value.
  # From a lab to our values by Table.columns, each a number or one per scene [n]. None if we
  # cannot measure the row.
  measure: Callable[[Lab], Sequence[float | np.ndarray]] | None
  note: str = ''  # Why we cannot measure it, or what differs.


class Table(NamedTuple):
  """A table of a paper."""

  name: str  # Such as 'deeplens/table2'.
  title: str  # Its subject.
  source: str  # Paper and number.
  paper_columns: tuple[str, ...]  # Headings of the paper's values.
  columns: tuple[str, ...]  # Headings of our values.
  rows: tuple[Row, ...]
  data: str  # The paper's data and ours.
  expected: str  # What our values show if the paper is right.
  reference: str = ''  # Label of the row to which the others are compared scene by scene, or ''.


class Estimate(NamedTuple):
  """A mean and its standard error, NaN for one value."""

  mean: float
  error: float


class Filled(NamedTuple):
  """A table with our values by row, empty where there are none."""

  table: Table
  values: tuple[tuple[Estimate, ...], ...]  # Over trainings.
  # To the reference, empty for itself: over trainings, or over the scenes of one training.
  differences: tuple[tuple[Estimate, ...], ...] = ()
  trainings: int = 1
  noise: tuple[float, ...] = ()  # Standard deviation of one training, by column.


def fill(table: Table, labs: Sequence[Lab]) -> Filled:
  """Measures the rows from first to last, training what is not trained yet in each lab.

  The labs differ in the seed. Differences are those of trainings with the same seed.
  """
  found = [[row.measure(lab) for lab in labs] if row.measure else [] for row in table.rows]
  means = [np.array([[np.mean(x) for x in one] for one in row]) for row in found]
  values = tuple(tuple(map(_estimate, row.T)) for row in means)
  filled = Filled(table, values, trainings=len(labs), noise=_noise(means))
  if not table.reference:
    return filled
  # By row and column: the values of several trainings, or of the scenes of one.
  samples = [
    mean.T if len(labs) > 1 else [np.atleast_1d(x) for one in row for x in one]
    for row, mean in zip(found, means, strict=True)
  ]
  reference = samples[[row.label for row in table.rows].index(table.reference)]
  differences = (
    tuple(map(_estimate, map(np.subtract, row, reference))) if row is not reference else ()
    for row in samples
  )
  return filled._replace(differences=tuple(differences))


def _estimate(x: np.ndarray) -> Estimate:
  # Without the first value, equal values have an error of 0 and none of rounding.
  error = np.std(np.subtract(x, x[0]), ddof=1) / np.sqrt(len(x)) if len(x) > 1 else np.nan
  return Estimate(float(np.mean(x)), float(error))


def _noise(means: Sequence[np.ndarray]) -> tuple[float, ...]:
  """Sample standard deviation over trainings, pooled over the rows that depend on them."""
  variances = [np.var(row - row[0], axis=0, ddof=1) for row in means if len(row) > 1]
  variances = [row for row in variances if row.any()]
  return tuple(np.sqrt(np.mean(variances, axis=0)).tolist()) if variances else ()


def cells(filled: Filled) -> tuple[list[str], list[list[str]]]:
  """Headings and rows of text: label, our values, the paper's."""
  table = filled.table
  head = ['', *table.columns, *(f'paper: {name}' for name in table.paper_columns)]
  body = []
  for row, ours in zip(table.rows, filled.values, strict=True):
    # Without an error for one training, or if trainings do not differ.
    ours = [_number(x.mean) + (f' ± {x.error:.2g}' if x.error > 0 else '') for x in ours]
    ours = ours or ['–'] * len(table.columns)
    body.append([row.label, *ours, *(_number(value) for value in row.paper)])
  if filled.noise:
    noise = [f'{x:.2g}' for x in filled.noise]
    body.append(['Standard deviation of one training', *noise, *['–'] * len(table.paper_columns)])
  return head, body


def markdown(filled: Filled, command: str, setting: str, origins: Sequence[str] = ()) -> str:
  """The section of a table.

  `setting` describes our runs, which `command` made; `origins` are their provenance.summary.
  """
  table = filled.table
  lines = [f'## {table.name}: {table.title}', '', f'{table.source}.', '']
  lines += [*_grid(*cells(filled)), '']
  ours, over = 'one training of each network', 'the scenes'
  if filled.trainings > 1:
    ours = f'mean ± standard error over {filled.trainings} trainings with different seeds'
    over = 'trainings with the same seed'
  lines += [f'Ours: {ours}.', '']
  rows = [(row.label, x) for row, x in zip(table.rows, filled.differences, strict=False) if x]
  if rows:
    # One number for all scenes has no error over them.
    numbers = lambda x: f'{x.mean:+.4f}' + f' ± {x.error:.4f}' * (x.error >= 0)  # noqa: E731
    body = [[label, *map(numbers, row)] for label, row in rows]
    lines += [f'Difference to the row "{table.reference}": mean over {over} ± standard error.']
    lines += ['', *_grid(['', *table.columns], body), '']
  notes = [f'* {row.label}: {row.note}.' for row in table.rows if row.note]
  lines += [*notes, ''] if notes else []
  lines += [f'**Data.** {table.data}', '', f'**Expected.** {table.expected}', '']
  lines += [f'**Ours:** {setting}, by `{command}`.', *(f'Trained by {x}.' for x in origins)]
  return '\n'.join(lines)


def _grid(head: list[str], body: list[list[str]]) -> list[str]:
  rows = ['| ' + ' | '.join(row) + ' |' for row in (head, *body)]
  return [rows[0], '|---' * len(head) + '|', *rows[1:]]


def read(path: pathlib.Path) -> str:
  """The document that `write` will change, or a new one; call it before long work starts.

  Raises files.errors.InputError: a file that this command did not write.
  """
  atomic.check_output(path, ('.md',))
  if not path.exists():
    return _TITLE
  text = path.read_text(encoding='utf-8', errors='replace')
  if text and not text.startswith(_TITLE.partition('\n')[0]):
    wrong = 'is not a document of `depthjax reproduce`'
    raise InputError(path, wrong, 'a new name, or a file that this command wrote')
  return text or _TITLE


def write(path: pathlib.Path, name: str, section: str) -> None:
  """Replaces a table's section in a Markdown file, or appends it; errors as `read`."""
  text = read(path)
  begin = f'<!-- begin {name} -->\n'
  before, mark, rest = text.partition(begin)
  _, _, after = rest.partition(_END)
  if not mark:
    before, after = text.rstrip('\n') + '\n\n', '\n'
  atomic.write_bytes(path, f'{before}{begin}{section}\n{_END}{after}'.encode(), ('.md',))


def _number(value: float | None) -> str:
  if value is None:
    return '–'
  return f'{value:.3f}' if abs(value) < 2 else f'{value:.2f}'
