"""`depthjax refine`: a depth map, or a folder of them, with the edges of a sharper one."""

import enum
import pathlib
import re
from typing import Annotated, NamedTuple

from typer import Argument, Option

from depthjax.commands import options, runner
from depthjax.commands.options import Convention
from depthjax.configuring import ConfigError
from depthjax.files.errors import MAX_PIXELS, InputError

# Which values a result has.
Scale = enum.StrEnum('Scale', 'own unit')
# How the result takes its values from the consistent map.
Align = enum.StrEnum('Align', 'local whole')
# Formats of the results in a folder.
Format = enum.StrEnum('Format', 'png npy pfm exr')
_Path = pathlib.Path | None


class Options(NamedTuple):
  """Refine a depth map: the depth of a consistent one with the edges of a sharp one.

  Give a photograph and its depth, or --low and --high without any photograph.
  """

  output: Annotated[pathlib.Path, options.output('16-bit PNG, NPY, PFM, EXR; or a folder.')]
  photo: Annotated[
    _Path,
    Argument(
      help='Photograph, or a folder of them: PNG, JPEG, WebP, TIFF. Only --predictor looks at it; '
      'else it tells the size of the result.'
    ),
  ] = None
  depth: options.OptionalDepth = None
  low: Annotated[_Path, Option(help='The consistent map, as DEPTH; needs no photograph.')] = None
  high: Annotated[
    _Path, Option(help='The sharp map; default: the predictor, or the same map again.')
  ] = None
  size: Annotated[
    str, Option(help='Rows x columns without a photograph; default: those of --high.')
  ] = ''
  weights: options.Weights = None
  predictor: Annotated[
    _Path, Option(help='Depth net that makes the sharp map and, without DEPTH, both.')
  ] = None
  stages: Annotated[int, Option(min=1, max=2, help='2 refines windows of the picture too.')] = 1
  levels: Annotated[
    int | None, Option(min=1, max=4, help='Levels of windows: 2 is 4 + 9, 3 is 16 more.')
  ] = None
  convention: options.Values = Convention.disparity
  high_convention: Annotated[
    Convention | None, Option(help='The same for the sharp map, if it differs.')
  ] = None
  invalid: options.Invalid = None
  scale: Annotated[
    Scale | None,
    Option(help="Values as DEPTH's own, or disparity from 0 to 1; default: own, unit in PNG."),
  ] = None
  side: Annotated[
    int | None,
    Option(
      help='Network input size, a multiple of 128; default: 3x the long side, at most 2048 (1024 '
      'for two stages).'
    ),
  ] = None
  ensemble: Annotated[
    int,
    Option(min=1, max=8, help='Mean of so many flips and inversions; slower as many times.'),
  ] = 1
  align: Annotated[
    Align,
    Option(help='Fit to the consistent map: in windows, or by one scale and offset (the papers).'),
  ] = Align.local
  ending: Annotated[Format, Option('--format', help='Of the results in a folder.')] = Format.png
  preview: Annotated[bool, Option('--preview', help='Write a coloured NAME.preview.png too.')] = (
    False
  )

  def sources(self) -> dict[str, pathlib.Path]:
    """What is read, files or folders: photo, low and high, those of them that are given."""
    paths = {'photo': self.photo, 'low': self.depth or self.low, 'high': self.high}
    return {name: path for name, path in paths.items() if path is not None}

  def shape(self) -> tuple[int, int] | None:
    """(h, w) of a --size such as 1080x1920; None without one.

    Raises:
      ConfigError: another text, no pixels, too many.
    """
    if not self.size:
      return None
    match = re.fullmatch(r'(\d{1,9})x(\d{1,9})', self.size)
    if not match:
      raise ConfigError(f'--size is {self.size!r}; rows x columns, such as 1080x1920')
    h, w = int(match[1]), int(match[2])
    if min(h, w) < 2 or h * w > MAX_PIXELS:
      most = f'{MAX_PIXELS / 1e6:g} million in all'
      raise ConfigError(f'--size is {self.size}; at least 2 pixels a side, at most {most}')
    return h, w


def _check(given: Options) -> None:
  """Refuses options that don't go together."""
  o, low = given, given.depth or given.low
  alone, no_net = o.photo is None, o.predictor is None
  for wrong, message in (
    (o.depth and o.low, 'DEPTH and --low say the same thing; give one of them'),
    (o.high and not no_net, '--high and --predictor say the same thing; give one of them'),
    (alone and not no_net, '--predictor needs a photograph to look at'),
    (alone and not (low and o.high), 'give a photograph and its depth map, or --low and --high'),
    (not low and no_net, 'a photograph needs its depth map, or --predictor'),
    (o.size and not alone, '--size is that of the photograph; leave it out'),
    (o.high_convention and not o.high, '--high-convention is that of --high, which is missing'),
    (o.levels and o.stages == 1, '--levels is of windows; give --stages=2 as well'),
  ):
    if wrong:
      raise ConfigError(message)
  o.shape()
  many = next(iter(o.sources().values())).is_dir()
  output = o.output / f'NAME.{o.ending}' if many else o.output
  if output.suffix.lower() == '.png' and o.scale is Scale.own:
    right = '--scale=unit, or a name ending in .npy, .pfm or .exr'
    raise InputError(output, 'holds values from 0 to 1 only', right)


command = runner.command('refine', Options, _check)
