"""Options of `depthjax sweep`: trains a config with every combination of some values and seeds."""

from typing import Annotated, NamedTuple

from typer import Option

from depthjax.commands import runner


class Options(NamedTuple):
  """Train a config with every combination of values and seeds, one run after another.

  Finished runs are skipped and unfinished ones resumed. Exit code 1: a run diverged; 2: refused.
  """

  config: Annotated[str, Option(help='Config, such as lensblur:small.')]
  workdir: Annotated[str, Option(help='Folder in which each run has its own.')]
  change: Annotated[
    list[str] | None, Option('--set', help='Values of a field, such as optimizer.peak=1e-3,3e-3.')
  ] = None
  seeds: Annotated[int, Option(min=1, help='Number of seeds; they are 0, 1, ...')] = 1
  show: Annotated[bool, Option('--print', help='Only print the commands, one a line.')] = False


command = runner.command('sweep', Options)
