"""Options of `depthjax refine`: gives a depth map the edges of a sharper one."""

import enum
import pathlib
from typing import Annotated, NamedTuple

from typer import Option

from depthjax.commands import options, runner
from depthjax.commands.options import Convention, Format
from depthjax.configuring import ConfigError
from depthjax.files.errors import InputError, is_folder

Scale = enum.StrEnum('Scale', 'input unit')
Align = enum.StrEnum('Align', 'local global')
_Path = pathlib.Path | None


class Options(NamedTuple):
  """Refine a depth map: keep its depth, sharpen its edges.

  Give a photograph and its depth map, or two maps as --low and --high. The photograph sets the size
  of the result and is the input of --predictor; the refinement network does not use it.
  """

  output: Annotated[pathlib.Path, options.output('16-bit PNG, NPY, PFM, EXR, TIFF; or a folder.')]
  photo: options.OptionalPhoto = None
  depth: options.OptionalDepth = None
  low: Annotated[_Path, Option(help='Consistent depth map, instead of DEPTH.')] = None
  high: Annotated[_Path, Option(help='Sharp depth map; default: by --predictor, or DEPTH.')] = None
  weights: options.Weights = None
  predictor: Annotated[
    str | None,
    Option(help=f'Predict the sharp map, and a missing DEPTH. {options.PREDICTOR}.'),
  ] = None
  stages: Annotated[int, Option(min=1, max=2, help='1: the picture; 2: also its windows.')] = 1
  levels: Annotated[
    int | None, Option(min=1, max=4, help='Levels of windows; default 2: 4 + 9 windows.')
  ] = None
  convention: options.Values = Convention.disparity
  high_convention: Annotated[
    Convention | None, Option(help='The same for --high; default: as --convention.')
  ] = None
  invalid: options.Invalid = None
  channel: options.Channel = None
  range: options.Range = ''
  stretch: options.Stretch = False
  scale: Annotated[
    Scale | None,
    Option(
      help='Values of the input, or disparity in [0, 1]; default: input; PNG: the fraction of full '
      'scale if the input is a PNG of disparity, else unit.'
    ),
  ] = None
  input_size: Annotated[
    int | None,
    Option(
      help='A multiple of 128; default: 3x the long side, at most 2048 (1024 for --stages=2).'
    ),
  ] = None
  ensemble: Annotated[
    int, Option(min=1, max=8, help='Average over N flips and inversions; N is N times slower.')
  ] = 1
  align: Annotated[
    Align, Option(help='Align to the consistent map in local windows, or by one scale and offset.')
  ] = Align.local
  ending: options.Ending = Format.png
  preview: options.Preview = False
  save_depth: options.SaveDepth = None
  max_megapixels: options.MaxMegapixels = 100
  resume: options.Resume = False
  quiet: options.Quiet = False

  def sources(self) -> dict[str, pathlib.Path]:
    """Input files or folders that are given: photo, low, high."""
    low = self.low if options.is_embedded(self.depth) else self.depth or self.low
    paths = {'photo': self.photo, 'low': low, 'high': self.high}
    return {name: path for name, path in paths.items() if path is not None}


def _check(o: Options) -> None:
  """Refuses options that contradict each other."""
  low, maps = o.depth or o.low, 'give a photograph and its depth map, or --low and --high'
  for wrong, message in (
    (o.depth and o.low, 'DEPTH and --low are both given; give one of them'),
    (o.high and o.predictor, '--high and --predictor are both given; give one of them'),
    (o.predictor and not o.photo, '--predictor has no input; give a photograph'),
    (not o.photo and not (low and o.high), f'a depth map is missing; {maps}'),
    (not low and not o.predictor, f'the depth map is missing; {maps}, or --predictor'),
    (o.high_convention and not o.high, '--high-convention is given without --high; give both'),
    (o.stretch and not o.photo, '--stretch is given without a photograph; give both'),
    (o.save_depth and (low or not o.predictor), options.NOTHING_SAVED),
    (o.levels and o.stages == 1, '--levels is given for one stage; give --stages=2 as well'),
  ):
    if wrong:
      raise ConfigError(message)
  if not low:
    options.check_predicted(o)
  options.reading(o)
  in_folder = is_folder(next(iter(o.sources().values())))
  output = o.output / f'NAME.{o.ending}' if in_folder else o.output
  if output.suffix.lower() == '.png' and o.scale is Scale.input:
    right = '--scale=unit, or a name ending in .npy, .pfm, .exr or .tif'
    raise InputError(output, 'can only have values in [0, 1]', right)


command = runner.command('refine', Options, _check)
