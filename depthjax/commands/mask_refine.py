"""Options of `depthjax mask-refine`: gives a depth map the edge of an object's mask."""

import enum
import pathlib
from typing import Annotated, NamedTuple

from typer import Argument, Option

from depthjax.commands import options, runner
from depthjax.commands.options import Convention, Format
from depthjax.configuring import ConfigError

Method = enum.StrEnum('Method', 'learned fill')
_AUTO = pathlib.Path('auto')


class Options(NamedTuple):
  """Refine a depth map by masks: its edges follow their borders, the rest does not change.

  The result has the size and the units of the depth map. Several masks, one for each object, may
  be given in any order.
  """

  photo: options.Photo
  output: Annotated[pathlib.Path, options.output('16-bit PNG, NPY, PFM, EXR, TIFF; or a folder.')]
  depth: options.Depth = None
  first: Annotated[
    pathlib.Path | None,
    Argument(
      metavar='mask',
      help='Mask of an object, or a folder of them: PNG, TIFF, JPEG, white inside or with alpha; '
      f'NPY; or the word {_AUTO}: by rembg.',
    ),
  ] = None
  mask: Annotated[
    list[pathlib.Path] | None,
    Option(help='As MASK, in its place or for further objects; may be repeated.'),
  ] = None
  invert: Annotated[
    bool, Option('--invert', help='The masks are white around their objects, and not inside.')
  ] = False
  method: Annotated[
    Method,
    Option(help='Both sides of the border by a network, or filled from pixels well inside them.'),
  ] = Method.learned
  soft: Annotated[
    bool, Option('--soft', help='Blend by grey masks, instead of the nearer of black and white.')
  ] = False
  weights: options.Weights = None
  predictor: options.Predictor = None
  save_depth: options.SaveDepth = None
  convention: options.Values = Convention.disparity
  invalid: options.Invalid = None
  channel: options.Channel = None
  range: options.Range = ''
  stretch: options.Stretch = False
  ending: options.Ending = Format.png
  preview: options.Preview = False
  max_megapixels: options.MaxMegapixels = 100
  resume: options.Resume = False
  quiet: options.Quiet = False

  def depths(self) -> list[pathlib.Path]:
    """The depth map if it is a file or folder, and neither predicted nor inside the photograph."""
    return [] if self.depth is None or options.is_embedded(self.depth) else [self.depth]

  def masks(self) -> tuple[list[pathlib.Path], bool]:
    """The masks that are files or folders, and whether there is one by rembg."""
    given = [path for path in (self.first, *(self.mask or ())) if path is not None]
    files = [path for path in given if path != _AUTO or path.exists()]
    return files, len(files) < len(given)


def _check(o: Options) -> None:
  """Refuses options that contradict each other."""
  for wrong, message in (
    (o.predictor and o.depth, 'DEPTH and --predictor are given; give one of them, and --mask=FILE'),
    (not any(o.masks()), 'a mask is missing; give PHOTO DEPTH MASK, --mask=FILE or --mask=auto'),
    (o.weights and o.method is Method.fill, '--weights is not used by --method=fill; omit one'),
    (o.save_depth and not o.predictor, options.NOTHING_SAVED),
  ):
    if wrong:
      raise ConfigError(message)
  if o.predictor:
    options.check_predicted(o)
  options.reading(o)


command = runner.command('mask_refine', Options, _check)
