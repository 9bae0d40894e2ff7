"""Options of `depthjax tom-masks`: finds glass and mirrors in photographs."""

import pathlib
from typing import Annotated, NamedTuple

from typer import Option

from depthjax.commands import options, runner


class Options(NamedTuple):
  """Find glass and mirrors in a photograph: a mask of its size, 255 inside and 0 outside."""

  photo: options.Photo
  output: Annotated[pathlib.Path, options.output('8-bit PNG; or a folder.')]
  weights: Annotated[pathlib.Path, Option(help=f'{options.WEIGHTS}, of the task segment.')]
  max_megapixels: options.MaxMegapixels = 100
  resume: options.Resume = False
  quiet: options.Quiet = False


command = runner.command('tom_masks', Options)
