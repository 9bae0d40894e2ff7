"""Options of `depthjax predictors`: there are none."""

from typing import NamedTuple

from depthjax.commands import runner


class Options(NamedTuple):
  """List the published depth predictors by name, for --predictor of the other commands."""


command = runner.command('predictors', Options)
