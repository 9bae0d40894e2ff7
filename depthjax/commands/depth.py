"""`depthjax depth`: disparity of a photograph by a trained network."""

import pathlib
from typing import Annotated, NamedTuple

from typer import Argument, Option

from depthjax.commands import options, runner


class Options(NamedTuple):
  """Predict the disparity of a photograph: 1 is nearest, 0 farthest."""

  photo: Annotated[pathlib.Path, Argument(help='Photograph: PNG, JPEG, WebP, TIFF.')]
  output: Annotated[pathlib.Path, options.output('Disparity: 16-bit PNG, NPY, PFM, EXR.')]
  weights: Annotated[pathlib.Path, Option(help="A run's folder or its weights.safetensors.")]


command = runner.command('depth', Options)
