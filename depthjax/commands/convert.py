"""`depthjax convert`: published weights as those of networks here, and refinement nets back."""

import enum
import pathlib
from typing import Annotated, NamedTuple

from typer import Argument

from depthjax.commands import options, runner

# What can be converted.
Network = enum.StrEnum('Network', 'resnet50 mit sddr')


class Options(NamedTuple):
  """Convert published weights: of encoders, for --config.initialise.weights of a training run; of
  sddr, for depthjax refine, and back where FILE is a run or was written here."""

  network: Annotated[Network, Argument(help='What the file holds.')]
  file: Annotated[pathlib.Path, Argument(help='Its weights: .safetensors, .pth or .pt.')]
  output: Annotated[
    pathlib.Path, options.output('A .safetensors file or a folder for one; back also .pt.')
  ]


command = runner.command('convert', Options)
