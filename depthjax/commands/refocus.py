"""Options of `depthjax refocus`: blurs a photograph by its depth as a wide lens would."""

import enum
import math
import pathlib
from typing import Annotated, NamedTuple

from typer import Option

from depthjax.commands import options, runner
from depthjax.commands.options import Convention, Method, numbers
from depthjax.configuring import ConfigError

APERTURE, FRAMES, FPS = 0.5, 48, 24  # Defaults.
Sweep = enum.StrEnum('Sweep', 'focus aperture')


class Options(NamedTuple):
  """Blur a photograph by its depth, as a lens with a wide aperture would."""

  photo: options.Photo
  output: Annotated[pathlib.Path, options.output('Picture; animation (.mp4, .gif); or folder.')]
  depth: options.Depth = None
  focus: Annotated[str, Option(help='Pixel in focus, as x,y; default: the middle.')] = ''
  focus_box: Annotated[str, Option(help='Box in focus, as x0,y0,x1,y1; the ends exclusive.')] = ''
  focus_disparity: Annotated[
    float | None, Option(min=0, max=1, help='Disparity in focus, from 0 (far) to 1 (near).')
  ] = None
  aperture: Annotated[
    float | None, Option(min=0, max=1, help=f'0 (closed) to 1 (wide open); default: {APERTURE}.')
  ] = None
  radius: Annotated[
    float | None, Option(min=0, help='Instead of --aperture: largest possible blur radius, px.')
  ] = None
  method: Annotated[
    Method, Option(help='Renderer; hybrid is learned near depth edges, else classical.')
  ] = Method.hybrid
  highlights: Annotated[
    float, Option(min=1, max=100, help='Brighten clipped lamps out of focus by this factor.')
  ] = 1
  blades: Annotated[
    int, Option(min=0, max=20, help='Corners of the aperture, as 6; 0: round. Not for learned.')
  ] = 0
  weights: options.Weights = None
  predictor: options.Predictor = None
  save_depth: options.SaveDepth = None
  convention: options.Values = Convention.disparity
  invalid: options.Invalid = None
  channel: options.Channel = None
  range: options.Range = ''
  stretch: options.Stretch = False
  bits: Annotated[
    int | None, Option(help='8, or 16 for PNG and TIFF; default: as the photograph, if possible.')
  ] = None
  animate: Annotated[Sweep | None, Option(help='Write an animation that changes this.')] = None
  frames: Annotated[
    int | None, Option(min=2, max=2000, help=f'Frames of the animation; default: {FRAMES}.')
  ] = None
  fps: Annotated[
    float | None, Option(min=1, max=120, help=f'Frames per second; default: {FPS}.')
  ] = None
  max_megapixels: options.MaxMegapixels = 100
  resume: options.Resume = False
  quiet: options.Quiet = False

  def sources(self) -> tuple[pathlib.Path, ...]:
    """The photograph, and its depth map if that is another file; or folders."""
    inside = self.depth is None or options.is_embedded(self.depth)
    return (self.photo,) if inside else (self.photo, self.depth)

  def in_focus(self) -> float | tuple[int, ...] | None:
    """The focus of pipelines.refocus.lens; a ConfigError if several are given or one is invalid."""
    point, box, disparity = self.focus, self.focus_box, self.focus_disparity
    values = {'--focus': point, '--focus-box': box, '--focus-disparity': disparity}
    given = [name for name, value in values.items() if value not in ('', None)]
    if len(given) > 1:
      raise ConfigError(f'{" and ".join(given)} are given; give one of them')
    if disparity is not None and math.isnan(disparity):
      raise ConfigError('--focus-disparity is nan; it must be in [0, 1]')
    if box:
      where = 'a box as x0,y0,x1,y1, such as 320,200,400,260'
      return numbers('--focus-box', box, 4, where)
    if point:
      return numbers('--focus', point, 2, 'a pixel as x,y, such as 320,200')
    return disparity


def _check(given: Options) -> None:
  if given.aperture is not None and given.radius is not None:
    raise ConfigError('--aperture and --radius are given; give one of them')
  if given.predictor is not None and given.depth is not None:
    raise ConfigError('DEPTH and --predictor are both given; give one of them')
  if given.predictor is not None:
    options.check_predicted(given)
  if given.save_depth is not None and given.predictor is None:
    raise ConfigError(options.NOTHING_SAVED)
  if given.method is Method.classical and given.weights is not None:
    raise ConfigError('--weights is given, which --method=classical does not use; omit one of them')
  if given.blades in (1, 2):
    raise ConfigError(f'--blades is {given.blades}; it must be 0 or at least 3')
  if given.blades and given.method is Method.learned:
    raise ConfigError('--blades is given, but the blur of --method=learned is round; omit one')
  for name in ('frames', 'fps'):
    if getattr(given, name) is not None and given.animate is None:
      raise ConfigError(f'--{name} is given without --animate; give both')
  given.in_focus()
  options.reading(given)


command = runner.command('refocus', Options, _check)
