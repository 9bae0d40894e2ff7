"""The options of `depthjax refine`: their types and helps, what they mean together."""

import enum
import math
import pathlib
import re
from typing import Annotated, NamedTuple

import typer

from depthjax.commands.refocus_options import Convention
from depthjax.configuring import ConfigError
from depthjax.files.errors import MAX_PIXELS


class Scale(enum.StrEnum):
  """Which values a result has."""

  own = 'own'
  unit = 'unit'


class Align(enum.StrEnum):
  """How the result takes its values from the consistent map."""

  local = 'local'
  whole = 'whole'


class Format(enum.StrEnum):
  """Formats of the results in a folder."""

  png = 'png'
  npy = 'npy'
  pfm = 'pfm'
  exr = 'exr'


_Path = pathlib.Path | None
Photo = Annotated[
  _Path,
  typer.Argument(
    help='Photograph, or a folder of them: PNG, JPEG, WebP, TIFF. Only --predictor looks at it; '
    'else it tells the size of the result.'
  ),
]
Depth = Annotated[
  _Path, typer.Argument(help='Its depth: PNG, TIFF, NPY, PFM, EXR; or a folder of the same names.')
]
Output = Annotated[
  pathlib.Path, typer.Option('-o', '--output', help='16-bit PNG, NPY, PFM, EXR; or a folder.')
]
Low = Annotated[_Path, typer.Option(help='The consistent map, as DEPTH; needs no photograph.')]
High = Annotated[
  _Path, typer.Option(help='The sharp map; default: the predictor, or the same map again.')
]
Size = Annotated[
  str, typer.Option(help='Rows x columns without a photograph; default: those of --high.')
]
Weights = Annotated[_Path, typer.Option(help="A run's folder or its weights; default: built in.")]
Predictor = Annotated[
  _Path, typer.Option(help='Depth net that makes the sharp map and, without DEPTH, both.')
]
HighResolution = Annotated[
  int | None, typer.Option(min=32, help="Long side of its sharp map; default: twice the net's.")
]
Stages = Annotated[int, typer.Option(min=1, max=2, help='2 refines windows of the picture too.')]
Levels = Annotated[
  int | None, typer.Option(min=1, max=4, help='Levels of windows: 2 is 4 + 9, 3 is 16 more.')
]
Adaptive = Annotated[
  bool, typer.Option('--adaptive', help='Resolutions of windows by gradients (Eq. 11), not edges.')
]
Alpha = Annotated[
  float | None, typer.Option(help="For --adaptive: mean gradient of the net's training depth.")
]
Convention_ = Annotated[Convention, typer.Option(help='Whether large values are near or far.')]
HighConvention = Annotated[
  Convention | None, typer.Option(help='The same for the sharp map, if it differs.')
]
Invalid = Annotated[
  float | None, typer.Option(help='Value that marks missing depth, beside NaN and infinity.')
]
ScaleOf = Annotated[
  Scale | None,
  typer.Option(help="Values as DEPTH's own, or disparity from 0 to 1; default: own, unit in PNG."),
]
Side = Annotated[
  int | None,
  typer.Option(
    help="Side of the network's maps, of 128s; default: thrice as large, to 2048 (1024 of two)."
  ),
]
Chunk = Annotated[int | None, typer.Option(min=1, help='Windows at once; more take more memory.')]
Nearest = Annotated[
  bool, typer.Option('--nearest', help="Resize by nearest pixels, as the authors' program.")
]
Ensemble = Annotated[
  int,
  typer.Option(min=1, max=8, help='Mean of so many flips and inversions; slower as many times.'),
]
Alignment = Annotated[
  Align,
  typer.Option(
    '--align',
    help='Fit to the consistent map: in windows, or by one scale and offset, as the authors.',
  ),
]
Ending = Annotated[Format, typer.Option('--format', help='Of the results in a folder.')]
Preview = Annotated[bool, typer.Option('--preview', help='Write a coloured NAME.preview.png too.')]


class Options(NamedTuple):
  """What the command line says, as its options of these names."""

  output: pathlib.Path
  photo: pathlib.Path | None
  depth: pathlib.Path | None
  low: pathlib.Path | None
  high: pathlib.Path | None
  size: str
  weights: pathlib.Path | None
  predictor: pathlib.Path | None
  high_resolution: int | None
  stages: int
  levels: int | None
  adaptive: bool
  alpha: float | None
  convention: Convention
  high_convention: Convention | None
  invalid: float | None
  scale: Scale | None
  side: int | None
  chunk: int | None
  nearest: bool
  ensemble: int
  align: Align
  ending: Format
  preview: bool


def check(options: Options) -> None:
  """Refuses options that don't go together.

  Raises:
    ConfigError: what is missing, or which of them to leave out.
  """
  o, low = options, options.depth or options.low
  alone, one_stage, no_net = o.photo is None, o.stages == 1, o.predictor is None
  for wrong, message in (
    (o.depth and o.low, 'DEPTH and --low say the same thing; give one of them'),
    (o.high and not no_net, '--high and --predictor say the same thing; give one of them'),
    (alone and not no_net, '--predictor needs a photograph to look at'),
    (alone and not (low and o.high), 'give a photograph and its depth map, or --low and --high'),
    (not low and no_net, 'a photograph needs its depth map, or --predictor'),
    (o.size and not alone, '--size is that of the photograph; leave it out'),
    (o.high_convention and not o.high, '--high-convention is that of --high, which is missing'),
    (o.high_resolution and no_net, '--high-resolution is that of --predictor, which is missing'),
    (o.levels and one_stage, '--levels is of windows; give --stages=2 as well'),
    (o.chunk and one_stage, '--chunk is of windows; give --stages=2 as well'),
    (o.adaptive and one_stage, '--adaptive is of windows; give --stages=2 as well'),
    (o.adaptive and no_net, '--adaptive chooses resolutions of --predictor, which is missing'),
    (o.alpha is not None and not o.adaptive, '--alpha is that of --adaptive; give both'),
  ):
    if wrong:
      raise ConfigError(message)
  if o.alpha is not None and not 0 < o.alpha < math.inf:
    raise ConfigError(f'--alpha is {o.alpha:g}; it must be a positive number')


def size(text: str) -> tuple[int, int] | None:
  """(h, w) of a text such as 1080x1920; None of an empty one.

  Raises:
    ConfigError: another text, no pixels, too many.
  """
  if not text:
    return None
  match = re.fullmatch(r'(\d{1,9})x(\d{1,9})', text)
  if not match:
    raise ConfigError(f'--size is {text!r}; rows x columns, such as 1080x1920')
  h, w = int(match[1]), int(match[2])
  if min(h, w) < 2 or h * w > MAX_PIXELS:
    most = f'{MAX_PIXELS / 1e6:g} million in all'
    raise ConfigError(f'--size is {text}; at least 2 pixels a side, at most {most}')
  return h, w
