"""Options that several commands have: types and help texts."""

import enum
import pathlib
from typing import Annotated, Any

import typer
from typer import Argument, Option

from depthjax.configuring import ConfigError

# Polarity of the values in a depth file.
Convention = enum.StrEnum('Convention', 'disparity depth inverted')
# Renderers of shallow depth of field.
Method = enum.StrEnum('Method', 'learned classical hybrid')
# Of depth maps in a folder.
Format = enum.StrEnum('Format', 'png npy pfm exr tif')
WEIGHTS = 'Folder of a training run, or its weights.safetensors'
_EMBEDDED = pathlib.Path('embedded')
_DEPTH = (
  'Its depth map, or a folder of them: PNG, TIFF, NPY, NPZ, PFM, EXR, grey JPEG; or the word '
  f'{_EMBEDDED}: the map inside the photograph'
)
_FORMATS = 'PNG, JPEG, WebP, TIFF, HEIC, AVIF'
_PHOTO = f'Photograph, or a folder of them: {_FORMATS}.'
Photo = Annotated[pathlib.Path, Argument(help=_PHOTO)]
OptionalPhoto = Annotated[pathlib.Path | None, Argument(help=_PHOTO)]
Depth = Annotated[pathlib.Path | None, Argument(help=f'{_DEPTH}, which is the default.')]
OptionalDepth = Annotated[pathlib.Path | None, Argument(help=f'{_DEPTH}.')]
Values = Annotated[
  Convention,
  Option(
    help='Values of the depth map: disparity (near is large), depth (far is large), or inverted '
    '(far is large, without distances, such as 0 near to 1 far).'
  ),
]
Invalid = Annotated[
  list[float] | None,
  Option(help='Value of missing pixels in the depth map, besides NaN; may be repeated.'),
]
Channel = Annotated[
  str | None, Option(help='Channel of EXR files, or array of NPZ files, that holds the depth.')
]
Resume = Annotated[bool, Option('--resume', help='Skip results that exist already.')]
MaxMegapixels = Annotated[int, Option(min=1, help='Refuse larger photographs and depth maps.')]
Range = Annotated[
  str,
  Option(
    help='Percentiles of disparity that become 0 and 1, as LOW,HIGH; 0,100: the exact range; '
    'default: exact, but without the outermost 0.1 % if they more than double it.'
  ),
]
Stretch = Annotated[
  bool, Option('--stretch', help='Stretch depth maps of another aspect ratio to the photograph.')
]
PREDICTOR = 'A name in `depthjax predictors`, or a run, weights, or a folder as on the Hub'
Predictor = Annotated[str | None, Option(help=f'Predict the depth map. {PREDICTOR}.')]
SaveDepth = Annotated[
  pathlib.Path | None,
  Option(help='Also write the predicted depth map, as `depthjax depth` does; or a folder.'),
]
NOTHING_SAVED = '--save-depth is given, but no depth map is predicted; give --predictor and no map'
Ending = Annotated[Format, Option('--format', help='Format of results in a folder.')]
Preview = Annotated[bool, Option('--preview', help='Also write NAME.preview.png.')]
Quiet = Annotated[bool, Option('--quiet', help='Print nothing on stdout.')]
Weights = Annotated[pathlib.Path | None, Option(help=f'{WEIGHTS}; default: built in.')]


def is_embedded(depth: pathlib.Path | None) -> bool:
  """Whether the argument DEPTH means the map inside the photograph, and not a file."""
  return depth == _EMBEDDED and not depth.exists()


def output(text: str) -> typer.models.OptionInfo:
  """The option -o, --output with a help text."""
  return Option('-o', '--output', help=text)


def reading(given: tuple) -> dict[str, Any]:
  """Arguments of files.depth.read_depth from the options of a command; ConfigError if invalid."""
  percentiles = None
  if given.range:
    percentiles = numbers('--range', given.range, 2, 'LOW,HIGH, such as 1,99', float)
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
      raise ConfigError(f'--range is {given.range}; it must have 0 <= LOW < HIGH <= 100')
  return {
    'invalid': given.invalid or None,
    'percentiles': percentiles,
    'stretch': given.stretch,
    'channel': given.channel,
    'max_pixels': given.max_megapixels * 10**6,
  }


def check_predicted(given: tuple) -> None:
  """Refuses options about values of depth files where the depth map is predicted."""
  for name in ('convention', 'invalid', 'channel', 'stretch'):
    if getattr(given, name) not in (None, False, [], Convention.disparity):
      raise ConfigError(f'--{name} is given, but is for depth files; omit it, or --predictor')


def numbers(option: str, text: str, count: int, right: str, kind: type = int) -> tuple:
  """The numbers of an option such as 320,200; a ConfigError says what is `right`."""
  try:
    result = tuple(kind(part) for part in text.split(','))
  except ValueError:
    result = ()
  if len(result) != count:
    raise ConfigError(f'{option} is {text!r}; it must be {right}')
  return result
