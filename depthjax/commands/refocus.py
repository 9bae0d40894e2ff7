"""`depthjax refocus`: a photograph, or a folder of them, blurred by depth as a wide lens would."""

import contextlib
import functools
import pathlib
from collections.abc import Callable, Generator
from typing import NamedTuple

import numpy as np
from rich import progress

from depthjax import main as main_lib
from depthjax.commands import folders
from depthjax.commands import refocus_options as options
from depthjax.commands.refocus_options import Convention, Focus, Method, Sweep
from depthjax.configuring import ConfigError
from depthjax.files import atomic, images, video
from depthjax.files import depth as depth_files
from depthjax.files.errors import InputError
from depthjax.pipelines.refocus import refocus as refocus_lib


class Settings(NamedTuple):
  """What holds for every photograph of a command; `radius` in pixels comes before `aperture`."""

  focus: Focus
  aperture: float
  radius: float | None
  learned: refocus_lib.Learned | None
  hybrid: bool
  convention: str
  invalid: float | None
  bits: int
  animate: Sweep | None
  frames: int
  fps: float


def refocus(
  photo: options.Photo,
  depth: options.Depth,
  output: options.Output,
  focus: options.Point = '',
  focus_box: options.Box = '',
  focus_disparity: options.Disparity = None,
  aperture: options.Aperture = None,
  radius: options.Radius = None,
  method: options.Renderer = Method.learned,
  weights: options.Weights = None,
  convention: options.Values = Convention.disparity,
  invalid: options.Invalid = None,
  bits: options.Bits = 8,
  animate: options.Animate = None,
  frames: options.Frames = 48,
  fps: options.FramesPerSecond = 24,
) -> None:
  """Blur a photograph by its depth as a wide lens would: near or far, at any size."""
  if aperture is not None and radius is not None:
    raise ConfigError('--aperture and --radius say the same thing; give one of them')
  many = photo.is_dir()
  if not many:
    _check_output(output, animate, bits)
  settings = Settings(
    options.focus(focus, focus_box, focus_disparity),
    options.APERTURE if aperture is None else aperture,
    radius,
    _learned(method, weights),
    method is Method.hybrid,
    convention.value,
    invalid,
    bits,
    animate,
    frames,
    fps,
  )
  main_lib.use_compilation_cache()
  if many:
    render = functools.partial(_refocus_one, settings=settings, show=False)
    folders.map_pairs(photo, depth, output, render, functools.partial(_ending, animate, bits))
  else:
    for line in _refocus_one(photo, depth, output, settings=settings, show=True):
      print(line)


def _refocus_one(
  photo: pathlib.Path, depth: pathlib.Path, output: pathlib.Path, *, settings: Settings, show: bool
) -> list[str]:
  """Renders one photograph or its animation, and returns what there is to say of it."""
  _check_output(output, settings.animate, settings.bits)
  # The colours of videos are those of sRGB; a picture keeps its own, and its EXIF.
  if settings.animate:
    picture, beside = images.read_image(photo), None
  else:
    picture, beside = images.read_photo(photo)
  shape = picture.shape[:2]
  convention, invalid = settings.convention, settings.invalid
  read = depth_files.read_depth(depth, convention=convention, shape=shape, invalid=invalid)
  try:
    at = _disparity(settings.focus, read.disparity)
    radius = settings.radius
    if radius is None:
      radius = refocus_lib.radius_of(settings.aperture, shape)
    # A focus that moves reaches both ends of the range.
    moves = settings.animate is Sweep.focus
    largest = radius if moves else refocus_lib.largest_blur(read.disparity, at, radius)
    render = functools.partial(
      refocus_lib.refocus,
      picture,
      read.disparity,
      learned=settings.learned,
      hybrid=settings.hybrid,
      sweep=largest if settings.animate else None,
    )
    if settings.animate is None:
      result = render(focus=at, radius=radius)
      images.write_image(output, result, bits=settings.bits, beside=beside)
    else:
      # Closed here whatever happens: a bar that is left to the garbage collector may be stopped by
      # the very thread that draws it, which then waits for itself.
      with contextlib.closing(_animation(settings, at, radius, render, show)) as frames:
        video.write_animation(output, frames, settings.fps)
  except InputError:
    raise
  except ValueError as error:
    raise ConfigError(str(error)) from error
  resized = f'{depth}: resized to the photograph, {shape[1]} x {shape[0]} pixels'
  done = f'{output}: in focus at disparity {at:.3f}, blur radius up to {largest:.1f} pixels'
  return [resized, done] if read.resized else [done]


def _animation(
  settings: Settings, focus: float, radius: float, render: Callable, show: bool
) -> Generator[np.ndarray, None, None]:
  if settings.animate is Sweep.focus:
    steps = [(at, radius) for at in refocus_lib.focus_sweep(settings.frames)]
  else:
    steps = [(focus, size) for size in refocus_lib.aperture_sweep(settings.frames, radius)]
  for at, size in progress.track(steps, description='rendering', disable=not show):
    yield render(focus=at, radius=size)


def _disparity(focus: Focus, scene: np.ndarray) -> float:
  """The disparity in focus in one scene [h w 1]."""
  if focus.disparity is not None:
    return focus.disparity
  h, w = scene.shape[:2]
  try:
    if focus.box is not None:
      return refocus_lib.disparity_within(scene, focus.box)
    return refocus_lib.disparity_at(scene, *(focus.point or (w // 2, h // 2)))
  except ValueError as error:
    raise ConfigError(f'{"--focus" if focus.box is None else "--focus-box"}: {error}') from error


def _learned(method: Method, path: pathlib.Path | None) -> refocus_lib.Learned | None:
  if method is Method.classical and path is not None:
    raise ConfigError('--method=classical uses no weights; leave out one of --method and --weights')
  if method is Method.classical:
    return None
  return refocus_lib.builtin() if path is None else refocus_lib.load(path)


def _ending(animate: Sweep | None, bits: int, photo: pathlib.Path) -> str:
  """The ending of a result in a folder: the photograph's own where it can hold the result."""
  if animate:
    return '.mp4'
  own = photo.suffix.lower()
  return own if bits == 8 or own in ('.png', '.tif', '.tiff') else '.png'


def _check_output(output: pathlib.Path, animate: Sweep | None, bits: int) -> None:
  """Refuses an output that could not be written before any work is done for it."""
  moving = output.suffix.lower() in video.EXTENSIONS
  if animate and not moving:
    raise InputError(output, 'cannot hold an animation', 'a name ending in .mp4 or .gif')
  if moving and not animate:
    raise InputError(output, 'is an animation', '--animate=focus or --animate=aperture')
  atomic.check_output(output, video.EXTENSIONS if moving else images.EXTENSIONS)
  images.check_bits(output, bits)
