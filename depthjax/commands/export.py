"""Options of `depthjax export`: writes a network with its weights as a program for JAX."""

import pathlib
from typing import Annotated, NamedTuple

from typer import Argument, Option

from depthjax.commands import options, runner


class Options(NamedTuple):
  """Write a network with its weights as one StableHLO program, for CPU, CUDA and TPU.

  jax.export.deserialize reads it, without depthjax; see docs/api.md.
  """

  network: Annotated[
    str, Argument(help='sddr, lensblur, layered, a predictor; or a run, or weights, of these.')
  ]
  size: Annotated[str, Option(help='Height and width of the inputs, as HEIGHTxWIDTH.')]
  output: Annotated[pathlib.Path, options.output('A name ending in .stablehlo or .jax_exported.')]

  def shape(self) -> tuple[int, int]:
    """Height and width; a ConfigError if the option is invalid."""
    right = 'HEIGHTxWIDTH, such as 518x686'
    return options.numbers('--size', self.size.replace('x', ','), 2, right)


command = runner.command('export', Options, Options.shape)
