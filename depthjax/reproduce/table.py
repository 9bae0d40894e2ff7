"""A published table and its rows, and their form in Markdown."""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from depthjax.files import atomic
from depthjax.files.errors import InputError
from depthjax.reproduce.lab import Lab


class Row(NamedTuple):
  """One line: what the paper says and how ours is made.

  Fields:
    label: as in the paper.
    paper: the paper's values, one a column; None where it has none.
    measure: a lab -> our values by the table's own columns, each a number or one for each scene
      [n]; None where we cannot make the row.
    note: why not, or what differs.
  """

  label: str
  paper: tuple[float | None, ...]
  measure: Callable[[Lab], Sequence[float | np.ndarray]] | None
  note: str = ''


class Table(NamedTuple):
  """A table of a paper.

  Fields:
    name: such as 'deeplens/table2'.
    title: what it shows.
    source: paper and place.
    paper_columns, columns: headings of the paper's values and of ours.
    data: which data made the paper's and ours.
    expected: what should be seen in ours if the paper is right.
    reference: label of the row whose values the others' are compared to, scene by scene; or none.
  """

  name: str
  title: str
  source: str
  paper_columns: tuple[str, ...]
  columns: tuple[str, ...]
  rows: tuple[Row, ...]
  data: str
  expected: str
  reference: str = ''


class Difference(NamedTuple):
  """Of a row's values to those of the table's reference on the same scenes."""

  mean: float
  error: float  # Standard error over the scenes.


class Filled(NamedTuple):
  """A table with our values, one list a row; empty where we have none.

  `differences` are those of the rows to its reference, empty for that row itself.
  """

  table: Table
  values: tuple[tuple[float, ...], ...]
  differences: tuple[tuple[Difference, ...], ...] = ()


def fill(table: Table, lab: Lab) -> Filled:
  """Runs or reuses what the rows need, from the first to the last."""
  found = [tuple(row.measure(lab)) if row.measure else () for row in table.rows]
  values = tuple(tuple(float(np.mean(x)) for x in row) for row in found)
  if not table.reference:
    return Filled(table, values)
  at = [row.label for row in table.rows].index(table.reference)
  differences = [
    tuple(_difference(np.subtract(*pair)) for pair in zip(row, found[at], strict=True))
    if row and i != at
    else ()
    for i, row in enumerate(found)
  ]
  return Filled(table, values, tuple(differences))


def _difference(x: np.ndarray) -> Difference:
  x = np.atleast_1d(x)
  error = np.std(x, ddof=1) / np.sqrt(len(x)) if len(x) > 1 else np.nan
  return Difference(float(np.mean(x)), float(error))


def cells(filled: Filled) -> tuple[list[str], list[list[str]]]:
  """Headings and rows of text: label, ours, then the paper's."""
  table = filled.table
  head = ['', *table.columns, *(f'paper: {name}' for name in table.paper_columns)]
  body = []
  for row, ours in zip(table.rows, filled.values, strict=True):
    ours = [_number(value) for value in ours] or ['–'] * len(table.columns)
    body.append([row.label, *ours, *(_number(value) for value in row.paper)])
  return head, body


def markdown(filled: Filled, command: str, made: str) -> str:
  """The section of a table in a document; `made` says how ours was trained."""
  table = filled.table
  head, body = cells(filled)
  lines = [f'## {table.name}: {table.title}', '', f'{table.source}.', '']
  lines += ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
  lines += ['| ' + ' | '.join(row) + ' |' for row in body]
  lines += _compared(filled)
  lines += ['', *(f'* {row.label}: {row.note}.' for row in table.rows if row.note)]
  if lines[-1]:
    lines.append('')
  lines += [f'**Data.** {table.data}', '', f'**To be expected.** {table.expected}', '']
  lines += [f'**Ours:** {made}, by `{command}`.']
  return '\n'.join(lines)


def _compared(filled: Filled) -> list[str]:
  """Lines of the differences to the table's reference, if it has one."""
  table = filled.table
  rows = [(row.label, x) for row, x in zip(table.rows, filled.differences, strict=False) if x]
  if not rows:
    return []
  text = f'Less the row "{table.reference}", scene by scene: mean and its standard error.'
  lines = ['', text, '', '| ' + ' | '.join(['', *table.columns]) + ' |']
  lines.append('|---' * (1 + len(table.columns)) + '|')
  for label, differences in rows:
    found = [f'{x.mean:+.4f} ± {x.error:.4f}' for x in differences]
    lines.append('| ' + ' | '.join([label, *found]) + ' |')
  return lines


def read(path: pathlib.Path) -> str:
  """The document that `write` will change, or its beginning; call it before long work starts.

  Raises:
    files.errors.InputError: a file that no section can be put into.
  """
  atomic.check_output(path, ('.md',))
  if not path.exists():
    return _TITLE
  wrong = 'is no document of tables'
  try:
    text = path.read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as error:
    raise InputError(path, wrong, 'a new name, or a file that this command wrote') from error
  if text and not text.startswith(_TITLE.partition('\n')[0]):
    raise InputError(path, wrong, 'a new name, or a file that this command wrote')
  return text or _TITLE


def write(path: pathlib.Path, name: str, section: str) -> None:
  """Puts a section into a Markdown file between its marks, or at its end; the rest stays.

  Raises:
    files.errors.InputError: as `read`.
  """
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


_END = '<!-- end -->'
_TITLE = """# Reproduction

Tables of the papers, ours beside theirs. `depthjax reproduce NAME` writes this file: it trains what
a table needs, or takes what is trained already. The papers' data sets are mostly not to be had, so
values are not to be compared across; orders and gaps are."""
