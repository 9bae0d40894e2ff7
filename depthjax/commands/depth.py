"""Options of `depthjax depth`: predicts the disparity of a photograph."""

import pathlib
from typing import Annotated, NamedTuple

from typer import Option

from depthjax.commands import options, runner


class Options(NamedTuple):
  """Predict the disparity of a photograph: 1 is the nearest pixel, 0 the farthest."""

  photo: options.PhotoFile
  output: Annotated[pathlib.Path, options.output('Disparity map: 16-bit PNG, NPY, PFM, EXR, TIFF.')]
  weights: Annotated[pathlib.Path, Option(help=options.WEIGHTS)]
  max_megapixels: options.MaxMegapixels = 100


command = runner.command('depth', Options)
