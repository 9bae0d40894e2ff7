"""The options of `depthjax refocus`: their types and helps, what they mean together."""

import enum
import math
import pathlib
from typing import Annotated, NamedTuple

import typer

from depthjax.configuring import ConfigError

APERTURE = 0.5  # Without one, and without a radius.


class Method(enum.StrEnum):
  """Renderers of shallow depth of field."""

  learned = 'learned'
  classical = 'classical'
  hybrid = 'hybrid'


class Convention(enum.StrEnum):
  """What the values of a depth file are."""

  disparity = 'disparity'
  depth = 'depth'


class Sweep(enum.StrEnum):
  """What an animation changes."""

  focus = 'focus'
  aperture = 'aperture'


class Focus(NamedTuple):
  """What is in focus: the first of these that is given, or the middle of the picture."""

  disparity: float | None
  box: tuple[int, ...] | None
  point: tuple[int, ...] | None


Photo = Annotated[
  pathlib.Path, typer.Argument(help='Photograph: PNG, JPEG, WebP, TIFF; or a folder of them.')
]
Depth = Annotated[
  pathlib.Path,
  typer.Argument(help='Its depth: PNG, TIFF, NPY, PFM, EXR; or a folder of the same names.'),
]
Output = Annotated[
  pathlib.Path,
  typer.Option('-o', '--output', help='Picture, .mp4/.gif with --animate; or a folder.'),
]
Point = Annotated[str, typer.Option(help='Pixel to focus on, as x,y.')]
Box = Annotated[
  str, typer.Option(help='Box to focus on: x0,y0,x1,y1, from its first pixels to past its last.')
]
Disparity = Annotated[
  float | None, typer.Option(min=0, max=1, help='Disparity in focus; 0 is farthest.')
]
Aperture = Annotated[
  float | None, typer.Option(min=0, max=1, help=f'0 closed to 1 wide; default {APERTURE}.')
]
Radius = Annotated[
  float | None,
  typer.Option(min=0, help='Blur, pixels, of the farthest at nearest focus; or --aperture.'),
]
Renderer = Annotated[
  Method, typer.Option(help='Who blurs; hybrid is learned at depth edges alone.')
]
Weights = Annotated[
  pathlib.Path | None, typer.Option(help="A run's folder or its weights; default: built in.")
]
Values = Annotated[Convention, typer.Option(help='Whether large values are near or far.')]
Invalid = Annotated[
  float | None, typer.Option(help='Value that marks missing depth, beside NaN and infinity.')
]
Bits = Annotated[int, typer.Option(help='8, or 16 in PNG and TIFF: bits a channel.')]
Animate = Annotated[Sweep | None, typer.Option(help='Sweep to animate.')]
Frames = Annotated[int, typer.Option(min=2, max=2000, help='Frames of the animation.')]
FramesPerSecond = Annotated[float, typer.Option(min=1, max=120, help='Frames a second.')]


def focus(point: str, box: str, disparity: float | None) -> Focus:
  """What the three options say; one of them at most.

  Raises:
    ConfigError: more than one, or not the numbers that it should be.
  """
  options = {'--focus': point, '--focus-box': box, '--focus-disparity': disparity}
  given = [name for name, value in options.items() if value not in ('', None)]
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
