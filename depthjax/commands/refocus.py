"""`depthjax refocus`: a photograph, or a folder of them, blurred by depth as a wide lens would."""

import enum
import math
import pathlib
from typing import Annotated, NamedTuple

from typer import Argument, Option

from depthjax.commands import options, runner
from depthjax.commands.options import Convention, Method
from depthjax.configuring import ConfigError

APERTURE = 0.5  # Without one, and without a radius.


# What an animation changes.
Sweep = enum.StrEnum('Sweep', 'focus aperture')


class Focus(NamedTuple):
  """What is in focus: the first of these that is given, or the middle of the picture."""

  disparity: float | None
  box: tuple[int, ...] | None
  point: tuple[int, ...] | None


class Options(NamedTuple):
  """Blur a photograph by its depth as a wide lens would: near or far, at any size."""

  photo: Annotated[
    pathlib.Path, Argument(help='Photograph: PNG, JPEG, WebP, TIFF; or a folder of them.')
  ]
  depth: options.Depth
  output: Annotated[pathlib.Path, options.output('Picture, .mp4/.gif with --animate; or a folder.')]
  focus: Annotated[str, Option(help='Pixel to focus on, as x,y.')] = ''
  focus_box: Annotated[
    str,
    Option(help='Box to focus on: x0,y0,x1,y1, from its first pixels to past its last.'),
  ] = ''
  focus_disparity: Annotated[
    float | None, Option(min=0, max=1, help='Disparity in focus; 0 is farthest.')
  ] = None
  aperture: Annotated[
    float | None, Option(min=0, max=1, help=f'0 closed to 1 wide; default {APERTURE}.')
  ] = None
  radius: Annotated[
    float | None,
    Option(min=0, help='Blur, pixels, of the farthest at nearest focus; or --aperture.'),
  ] = None
  method: Annotated[Method, Option(help='Renderer; hybrid is learned at depth edges alone.')] = (
    Method.learned
  )
  weights: options.Weights = None
  convention: options.Values = Convention.disparity
  invalid: options.Invalid = None
  bits: Annotated[int, Option(help='8, or 16 in PNG and TIFF: bits a channel.')] = 8
  animate: Annotated[Sweep | None, Option(help='Sweep to animate.')] = None
  frames: Annotated[int, Option(min=2, max=2000, help='Frames of the animation.')] = 48
  fps: Annotated[float, Option(min=1, max=120, help='Frames a second.')] = 24

  def in_focus(self) -> Focus:
    """What the three options of the focus say.

    Raises:
      ConfigError: more than one of them, or not the numbers that it should be.
    """
    point, box, disparity = self.focus, self.focus_box, self.focus_disparity
    values = {'--focus': point, '--focus-box': box, '--focus-disparity': disparity}
    given = [name for name, value in values.items() if value not in ('', None)]
    if len(given) > 1:
      raise ConfigError(f'{" and ".join(given)} say the same thing; give one of them')
    if disparity is not None and math.isnan(disparity):
      raise ConfigError('--focus-disparity is nan; it must lie in [0, 1]')
    return Focus(
      disparity,
      _pixels('--focus-box', box, 4, 'a box as x0,y0,x1,y1, such as 320,200,400,260'),
      _pixels('--focus', point, 2, 'a pixel as x,y, such as 320,200'),
    )


def _pixels(option: str, text: str, count: int, right: str) -> tuple[int, ...] | None:
  if not text:
    return None
  try:
    numbers = tuple(int(part) for part in text.split(','))
  except ValueError:
    numbers = ()
  if len(numbers) != count:
    raise ConfigError(f'{option} is {text!r}; {right}')
  return numbers


def _check(given: Options) -> None:
  if given.aperture is not None and given.radius is not None:
    raise ConfigError('--aperture and --radius say the same thing; give one of them')
  if given.method is Method.classical and given.weights is not None:
    raise ConfigError('--method=classical uses no weights; leave out one of --method and --weights')
  given.in_focus()


command = runner.command('refocus', Options, _check)
