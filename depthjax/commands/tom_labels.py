"""Options of `depthjax tom-labels`: predicts depth of glass and mirrors by painting them."""

import enum
import pathlib
import re
from typing import Annotated, NamedTuple

from typer import Argument, Option

from depthjax.commands import options, runner
from depthjax.configuring import ConfigError
from depthjax.models.predictors import catalogue

Colours = enum.StrEnum('Colours', 'paper instance')


class Options(NamedTuple):
  """Predict the disparity of photographs with glass and mirrors: these are painted in several
  random colours, and the median of the predictions, in the units and at the input size of the
  predictor, is the label. Several processes may share a folder; existing labels are skipped.
  """

  photo: options.Photo
  mask: Annotated[pathlib.Path, Argument(help='Its mask, or a folder: PNG, TIFF or NPY of ids.')]
  output: Annotated[pathlib.Path, options.output('NPY, with a PNG beside it; or a folder.')]
  predictor: Annotated[str, Option(help=f'{options.PREDICTOR}.')] = catalogue.DEFAULT
  passes: Annotated[int, Option(min=1, help='Number of colours; a single one is grey.')] = 5
  colours: Annotated[
    Colours, Option(help='One in a pass (paper), or one for each connected part of each id.')
  ] = Colours.paper
  ids: Annotated[
    str, Option(help='Ids in the masks that are painted, such as 1,2; default: all above 0.')
  ] = ''
  dilate: Annotated[int, Option(min=0, help='Grow the masks by this radius in pixels.')] = 0
  seed: Annotated[int, Option(min=0, help='Of the colours.')] = 0
  max_megapixels: options.MaxMegapixels = 100
  quiet: options.Quiet = False

  def numbers(self) -> tuple[int, ...]:
    """The ids to be painted, sorted; none: all above 0."""
    if self.ids and not re.fullmatch('[1-9][0-9]*(,[1-9][0-9]*)*', self.ids):
      raise ConfigError(f'--ids is {self.ids!r}; it must be ids above 0, such as 1,2')
    return tuple(sorted({int(x) for x in self.ids.split(',') if x}))


command = runner.command('tom_labels', Options, Options.numbers)
