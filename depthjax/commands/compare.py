"""Options of `depthjax compare`: what differs in the configs of runs, and their metrics."""

from pathlib import Path
from typing import Annotated, NamedTuple

from typer import Argument

from depthjax.commands import options, runner


class Options(NamedTuple):
  """Compare runs: fields that differ, metrics as mean ± standard deviation over seeds."""

  runs: Annotated[list[Path], Argument(help='Folders of runs, or folders that have them.')]
  output: Annotated[Path, options.output('Page of metrics and curves.')] = Path('compare.html')


command = runner.command('compare', Options)
