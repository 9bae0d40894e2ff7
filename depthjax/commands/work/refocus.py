"""`depthjax refocus`: reads photographs and depth maps, renders and writes them."""

import contextlib
import functools
import pathlib
from collections.abc import Callable, Generator

import numpy as np
from rich import progress

from depthjax.commands import options as options_lib
from depthjax.commands import runner
from depthjax.commands.options import Method
from depthjax.commands.refocus import APERTURE, Focus, Options, Sweep
from depthjax.commands.work import folders
from depthjax.files import atomic, images, video
from depthjax.files import depth as depth_files
from depthjax.files.errors import InputError
from depthjax.pipelines import maps
from depthjax.pipelines.refocus import refocus as refocus_lib


def run(options: Options) -> None:
  """Renders one photograph, or those of a folder."""
  folders.map_files(
    (options.photo, options.depth),
    options.output,
    load=lambda: functools.partial(_refocus_one, options, _learned(options)),
    check=functools.partial(_check_output, options),
    ending=functools.partial(_ending, options),
  )


def _refocus_one(
  options: Options, learned: refocus_lib.Learned | None, *paths: pathlib.Path, show: bool
) -> None:
  """Renders one photograph or animation."""
  photo, depth, output = paths
  # Videos are sRGB; a picture keeps its colour profile and EXIF.
  if options.animate:
    picture, beside = images.read_image(photo), None
  else:
    picture, beside = images.read_photo(photo)
  shape = picture.shape[:2]
  fields = options_lib.reading(options)
  read = depth_files.read_depth(depth, convention=options.convention.value, shape=shape, **fields)
  print(f'{depth}: {read.summary}{maps.turned_note(picture, read.disparity)}')
  at, radius = _disparity(options.in_focus(), read.disparity), options.radius
  if radius is None:
    aperture = APERTURE if options.aperture is None else options.aperture
    radius = refocus_lib.radius_of(aperture, shape)
  # A moving focus is at both ends of the range.
  moves = options.animate is Sweep.focus
  largest = radius if moves else refocus_lib.largest_blur(read.disparity, at, radius)
  fields = {'learned': learned, 'hybrid': options.method is Method.hybrid}
  fields['sweep'] = largest if options.animate else None
  render = functools.partial(refocus_lib.refocus, picture, read.disparity, **fields)
  if options.animate is None:
    result = render(focus=at, radius=radius)
    images.write_image(output, result, bits=options.bits, metadata=beside)
  else:
    # Closed here, because the garbage collector may run in the progress bar's thread, which would
    # then wait for itself.
    with contextlib.closing(_animation(options, at, radius, render, show)) as frames:
      video.write_animation(output, frames, options.fps)
  print(f'{output}: in focus at disparity {at:.3f}, blur radius up to {largest:.1f} pixels')


def _animation(
  options: Options, focus: float, radius: float, render: Callable, show: bool
) -> Generator[np.ndarray, None, None]:
  if options.animate is Sweep.focus:
    steps = [(at, radius) for at in refocus_lib.focus_sweep(options.frames)]
  else:
    steps = [(focus, size) for size in refocus_lib.aperture_sweep(options.frames, radius)]
  for at, size in progress.track(steps, description='rendering', disable=not show):
    yield render(focus=at, radius=size)


def _disparity(focus: Focus, scene: np.ndarray) -> float:
  """The disparity in focus, for the disparity [h w 1] of a photograph."""
  if focus.disparity is not None:
    return focus.disparity
  h, w = scene.shape[:2]
  with runner.refusals('--focus: ' if focus.box is None else '--focus-box: '):
    if focus.box is not None:
      return refocus_lib.disparity_within(scene, focus.box)
    return refocus_lib.disparity_at(scene, *(focus.point or (w // 2, h // 2)))


def _learned(options: Options) -> refocus_lib.Learned | None:
  if options.method is Method.classical:
    return None
  path = options.weights
  return refocus_lib.builtin() if path is None else refocus_lib.load(path)


def _ending(options: Options, photo: pathlib.Path) -> str:
  """The ending of a result in a folder: that of the photograph if it supports the bits."""
  if options.animate:
    return '.mp4'
  own = photo.suffix.lower()
  return own if options.bits == 8 or own in ('.png', '.tif', '.tiff') else '.png'


def _check_output(options: Options, output: pathlib.Path) -> None:
  """Refuses an output that cannot be written, before any work."""
  is_video = output.suffix.lower() in video.EXTENSIONS
  if options.animate and not is_video:
    raise InputError(output, 'cannot be an animation', 'a name ending in .mp4 or .gif')
  if is_video and not options.animate:
    raise InputError(output, 'would be an animation', '--animate=focus or --animate=aperture')
  atomic.check_output(output, video.EXTENSIONS if is_video else images.EXTENSIONS)
  images.check_bits(output, options.bits)
