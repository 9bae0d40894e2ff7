"""Options of `depthjax score`: scores renderers or a depth network on a prepared dataset."""

import enum
import pathlib
from typing import Annotated, NamedTuple

from typer import Argument, Option

from depthjax.commands import runner
from depthjax.commands.options import PREDICTOR, Method

Split = enum.StrEnum('Split', 'train val test all')
Protocol = enum.StrEnum('Protocol', 'plain published')
_Path = pathlib.Path | None


class Options(NamedTuple):
  """Score renderers on pairs of small and wide aperture, or predicted disparity on RGB-D."""

  dataset: Annotated[str, Argument(help='Folder of a prepared dataset, or its TFDS name.')]
  split: Annotated[Split, Option(help='Split to score.')] = Split.test
  examples: Annotated[int | None, Option(min=1, help='Number of records; default: all.')] = None
  method: Annotated[list[Method] | None, Option(help='Renderers; default: all three.')] = None
  weights: Annotated[
    _Path, Option(help='Run or weights.safetensors of the lens blur; default: built in.')
  ] = None
  radius: Annotated[
    list[float] | None, Option(help='Blur radius in pixels for the lens search; may be repeated.')
  ] = None
  predictor: Annotated[str | None, Option(help=f'Predict the disparity. {PREDICTOR}.')] = None
  depths: Annotated[
    _Path, Option(help='Folder of disparity maps, used instead: RECORD.png, .npy, ...')
  ] = None
  protocol: Annotated[
    Protocol, Option(help='On glass and mirrors: full resolution, or that of the published tables.')
  ] = Protocol.plain
  output: Annotated[_Path, Option('--json', help='Write the scores of every record here.')] = None


command = runner.command('score', Options)
