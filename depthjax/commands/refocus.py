"""Options of `depthjax refocus`: blurs a photograph by its depth as a wide lens would."""

import enum
import math
import pathlib
from typing import Annotated, NamedTuple

from typer import Option

from depthjax.commands import options, runner
from depthjax.commands.options import Convention, Method, numbers
from depthjax.configuring import ConfigError

APERTURE = 0.5  # Default.
Sweep = enum.StrEnum('Sweep', 'focus aperture')


class Focus(NamedTuple):
  """At most one is given; without, the focus is at the middle of the picture."""

  disparity: float | None
  box: tuple[int, ...] | None
  point: tuple[int, ...] | None


class Options(NamedTuple):
  """Blur a photograph by its depth, as a lens with a wide aperture would."""

  photo: options.Photo
  depth: options.Depth
  output: Annotated[pathlib.Path, options.output('Picture; animation (.mp4, .gif); or folder.')]
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
  ] = Method.learned
  weights: options.Weights = None
  convention: options.Values = Convention.disparity
  invalid: options.Invalid = None
  range: options.Range = ''
  stretch: options.Stretch = False
  bits: Annotated[int, Option(help='Bits per channel: 8, or 16 for PNG and TIFF.')] = 8
  animate: Annotated[Sweep | None, Option(help='Write an animation that changes this.')] = None
  frames: Annotated[int, Option(min=2, max=2000, help='Frames of the animation.')] = 48
  fps: Annotated[float, Option(min=1, max=120, help='Frames per second.')] = 24
  quiet: options.Quiet = False

  def in_focus(self) -> Focus:
    """The focus, from three options; a ConfigError if several are given or one is invalid."""
    point, box, disparity = self.focus, self.focus_box, self.focus_disparity
    values = {'--focus': point, '--focus-box': box, '--focus-disparity': disparity}
    given = [name for name, value in values.items() if value not in ('', None)]
    if len(given) > 1:
      raise ConfigError(f'{" and ".join(given)} are given; give one of them')
    if disparity is not None and math.isnan(disparity):
      raise ConfigError('--focus-disparity is nan; it must be in [0, 1]')
    where = 'a box as x0,y0,x1,y1, such as 320,200,400,260'
    return Focus(
      disparity,
      numbers('--focus-box', box, 4, where) if box else None,
      numbers('--focus', point, 2, 'a pixel as x,y, such as 320,200') if point else None,
    )


def _check(given: Options) -> None:
  if given.aperture is not None and given.radius is not None:
    raise ConfigError('--aperture and --radius are given; give one of them')
  if given.method is Method.classical and given.weights is not None:
    raise ConfigError('--weights is given, which --method=classical does not use; omit one of them')
  given.in_focus()
  options.reading(given)


command = runner.command('refocus', Options, _check)
