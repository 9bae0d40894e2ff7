"""Options of `depthjax convert`: converts published weights, and refinement networks back."""

import enum
import pathlib
from typing import Annotated, NamedTuple

from typer import Argument

from depthjax.commands import options, runner
from depthjax.models.predictors.catalogue import CATALOGUE

Network = enum.StrEnum(
  'Network', [(name, name) for name in ('resnet50', 'mit', 'sddr', *CATALOGUE)]
)


class Options(NamedTuple):
  """Convert published weights to depthjax, or depthjax weights of sddr back.

  resnet50 and mit are encoders for --config.initialise.weights of train; sddr is for refine; the
  others are depth predictors, see `depthjax predictors`: name exactly the one that the file has,
  since those of both versions, relative and metric, have equal names and shapes.
  """

  network: Annotated[Network, Argument(help='Network of which the file has the weights.')]
  file: Annotated[pathlib.Path, Argument(help='Weights to convert: .safetensors, .pth or .pt.')]
  output: Annotated[
    pathlib.Path, options.output('A .safetensors file or a folder; converting back also .pt.')
  ]


command = runner.command('convert', Options)
