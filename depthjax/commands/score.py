"""`depthjax score`: renderers, or a depth network, on a prepared dataset: a table of means."""

import enum
import pathlib
from typing import Annotated, NamedTuple

from typer import Argument, Option

from depthjax.commands import runner
from depthjax.commands.options import Method

# Parts of a dataset.
Split = enum.StrEnum('Split', 'train val test all')


class Options(NamedTuple):
  """Score renderers on pairs of small and wide aperture, or predicted depth on RGB-D."""

  dataset: Annotated[str, Argument(help='Folder of a prepared dataset, or a TFDS name.')]
  split: Annotated[Split, Option(help='Which of its records.')] = Split.test
  examples: Annotated[int | None, Option(min=1, help='Only so many of them, from the first.')] = (
    None
  )
  method: Annotated[
    list[Method] | None, Option(help='Renderer, may be repeated; default: all three.')
  ] = None
  weights: Annotated[
    pathlib.Path | None,
    Option(help="Lens blur: a run's folder or weights, not the built in."),
  ] = None
  radius: Annotated[
    list[float] | None, Option(help='Blur in pixels to search the lens by, may be repeated.')
  ] = None
  depth_weights: Annotated[
    pathlib.Path | None, Option(help="Depth net: a run's folder or weights.")
  ] = None
  depths: Annotated[
    pathlib.Path | None, Option(help='Or disparity maps: a folder of RECORD.png, .npy, ...')
  ] = None
  output: Annotated[
    pathlib.Path | None, Option('--json', help='File for the scores of every record.')
  ] = None


command = runner.command('score', Options)
