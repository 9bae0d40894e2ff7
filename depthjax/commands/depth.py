"""Options of `depthjax depth`: predicts the depth map of a photograph."""

import pathlib
from typing import Annotated, NamedTuple

from typer import Option

from depthjax.commands import options, runner
from depthjax.commands.options import Format
from depthjax.models.predictors import catalogue


class Options(NamedTuple):
  """Predict the depth map of a photograph: depth in metres if the predictor is metric, else
  disparity, where 1 is the nearest pixel and 0 the farthest.
  """

  photo: options.Photo
  output: Annotated[
    pathlib.Path,
    options.output('16-bit PNG (of metres: millimetres), NPY, PFM, EXR, TIFF; or a folder.'),
  ]
  predictor: Annotated[str, Option(help=f'{options.PREDICTOR}.')] = catalogue.DEFAULT
  ending: options.Ending = Format.png
  preview: options.Preview = False
  max_megapixels: options.MaxMegapixels = 100
  resume: options.Resume = False
  quiet: options.Quiet = False


command = runner.command('depth', Options)
