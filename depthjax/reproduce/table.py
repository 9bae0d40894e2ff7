"""A published table and its rows, and their form in Markdown."""

import pathlib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from depthjax.files import atomic
from depthjax.reproduce.lab import Lab


class Row(NamedTuple):
  """One line: what the paper says and how ours is made.

  Fields:
    label: as in the paper.
    paper: the paper's values, one a column; None where it has none.
    measure: a lab -> our values by the table's own columns; None where we cannot make the row.
    note: why not, or what differs.
  """

  label: str
  paper: tuple[float | None, ...]
  measure: Callable[[Lab], Sequence[float]] | None
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
  """

  name: str
  title: str
  source: str
  paper_columns: tuple[str, ...]
  columns: tuple[str, ...]
  rows: tuple[Row, ...]
  data: str
  expected: str


class Filled(NamedTuple):
  """A table with our values, one list a row; empty where we have none."""

  table: Table
  values: tuple[tuple[float, ...], ...]


def fill(table: Table, lab: Lab) -> Filled:
  """Runs or reuses what the rows need, from the first to the last."""
  values = [tuple(row.measure(lab)) if row.measure else () for row in table.rows]
  return Filled(table, tuple(values))


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
  """The section of a table in a document; `made` says of what size, steps and machine ours is."""
  table = filled.table
  head, body = cells(filled)
  lines = [f'## {table.name}: {table.title}', '', f'{table.source}.', '']
  lines += ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
  lines += ['| ' + ' | '.join(row) + ' |' for row in body]
  lines += ['', *(f'* {row.label}: {row.note}.' for row in table.rows if row.note)]
  if lines[-1]:
    lines.append('')
  lines += [f'**Data.** {table.data}', '', f'**To be expected.** {table.expected}', '']
  lines += [f'**Ours:** {made}, by `{command}`.']
  return '\n'.join(lines)


def write(path: pathlib.Path, name: str, section: str) -> None:
  """Puts a section into a Markdown file between its marks, in the order of names."""
  text = path.read_text(encoding='utf-8') if path.exists() else ''
  sections = dict(re.findall(r'<!-- begin (\S+) -->\n(.*?)\n<!-- end -->', text, flags=re.DOTALL))
  sections[name] = section
  parts = [_TITLE, *(f'<!-- begin {n} -->\n{sections[n]}\n<!-- end -->' for n in sorted(sections))]
  path.parent.mkdir(parents=True, exist_ok=True)
  atomic.write_bytes(path, ('\n\n'.join(parts) + '\n').encode(), ('.md',))


def _number(value: float | None) -> str:
  if value is None:
    return '–'
  return f'{value:.3f}' if abs(value) < 2 else f'{value:.2f}'


_TITLE = """# Reproduction

Tables of the papers, ours beside theirs. `depthjax reproduce NAME` writes this file: it trains what
a table needs, or takes what is trained already. The papers' data sets are mostly not to be had, so
values are not to be compared across; orders and gaps are."""
