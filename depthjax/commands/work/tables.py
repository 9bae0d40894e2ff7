"""Tables in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

_WIDEST = 60  # Characters of a column.


def show(head: Sequence[str], body: Sequence[Sequence[str]], title: str | None = None) -> None:
  """Prints rows of text, the first column aligned to the left and the others to the right."""
  table = Table(title=title)
  for i, text in enumerate(head):
    table.add_column(text, justify='right' if i else 'left', max_width=_WIDEST)
  for row in body:
    table.add_row(*row)
  # A table wider than the terminal wraps its lines instead of truncating numbers.
  Console(markup=False, width=1000).print(table)
