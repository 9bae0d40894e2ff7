"""`depthjax refocus`: reads photographs and depth maps, renders and writes them."""

import contextlib
import functools
import pathlib
import time
from collections.abc import Callable, Generator, Iterator

import numpy as np
from rich import console, progress

from depthjax.commands import runner
from depthjax.commands.options import Method
from depthjax.commands.refocus import FPS, FRAMES, Options, Sweep
from depthjax.commands.work import depth_maps, folders
from depthjax.files import atomic, endings, images, video
from depthjax.files.errors import InputError
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines.refocus import lens as lens_lib
from depthjax.pipelines.refocus import refocus as refocus_lib

# Seconds after which the progress of a single picture is shown.
_PATIENCE = 3


def run(options: Options) -> None:
  """Renders one photograph, or those of a folder."""
  folders.map_files(
    options.sources(),
    options.output,
    load=lambda: functools.partial(
      _refocus_one, options, _learned(options), depth_maps.load(options)
    ),
    check=functools.partial(_check_output, options),
    ending=functools.partial(_ending, options),
    resume=options.resume,
  )


def _refocus_one(
  options: Options,
  learned: refocus_lib.Learned | None,
  predictor: Predictor | None,
  *paths: pathlib.Path,
  show: bool,
) -> None:
  """Renders one photograph or animation."""
  photo, *_, output = paths
  # Videos are sRGB without alpha; a picture keeps its colour profile, alpha and metadata.
  animate, max_pixels = options.animate is not None, options.max_megapixels * 10**6
  given = images.read_photo(photo, max_pixels=max_pixels, srgb=animate)
  picture, shape = given.image, given.image.shape[:2]
  if predictor is None:
    read = depth_maps.read(options, *paths[:-1], shape=shape)
  else:
    # Predictors expect sRGB, and a picture with a profile has other colours.
    own = images.read_image(photo, max_pixels=max_pixels) if given.metadata.profile else picture
    read = depth_maps.predict(options, predictor, own, photo, output)
  lens = _lens(options, read.disparity, learned)
  fields = {'learned': learned, 'hybrid': options.method is Method.hybrid}
  fields |= {'highlights': options.highlights, 'blades': options.blades}
  fields['sweep'] = lens.largest if options.animate else None
  render = functools.partial(refocus_lib.refocus, picture, read.disparity, **fields)
  if options.animate is None:
    with _progress(show) as done:
      result = render(focus=lens.focus, radius=lens.radius, done=done)
    bits = options.bits or endings.bits_for(output, given.bits)
    images.write_image(output, result, bits=bits, metadata=given.metadata, alpha=given.alpha)
  else:
    # Closed here, because the garbage collector may run in the progress bar's thread, which would
    # then wait for itself.
    with contextlib.closing(_animation(options, lens, render, show)) as frames:
      video.write_animation(output, frames, options.fps or FPS)
    if given.alpha is not None:
      print(f'{photo}: an animation holds no alpha, which is dropped')
  print(f'{output}: {_described(lens, shape)}')


@contextlib.contextmanager
def _progress(show: bool) -> Iterator[Callable[[float], None]]:
  """A bar on a terminal once the work takes long; yields a function that advances it."""
  screen, begin = console.Console(stderr=True), time.monotonic()
  hidden = not (show and screen.is_interactive)
  bar = progress.Progress(console=screen, transient=True, disable=hidden)
  task = bar.add_task('rendering', total=1)

  def done(fraction: float) -> None:
    bar.advance(task, fraction)
    if time.monotonic() - begin > _PATIENCE:
      bar.start()

  try:
    yield done
  finally:
    bar.stop()


def _animation(
  options: Options, lens: lens_lib.Lens, render: Callable, show: bool
) -> Generator[np.ndarray, None, None]:
  count = options.frames or FRAMES
  if options.animate is Sweep.focus:
    steps = [(at, lens.radius) for at in refocus_lib.focus_sweep(count)]
  else:
    steps = [(lens.focus, size) for size in refocus_lib.aperture_sweep(count, lens.radius)]
  for at, size in progress.track(steps, description='rendering', disable=not show):
    yield render(focus=at, radius=size)


def _lens(
  options: Options, disparity: np.ndarray, learned: refocus_lib.Learned | None
) -> lens_lib.Lens:
  """The lens for the disparity [h w 1] of a photograph."""
  focus = options.in_focus()
  with runner.refusals('--focus-box: ' if options.focus_box else '--focus: '):
    focus = lens_lib.in_focus(disparity, focus)
  fields = {'aperture': options.aperture, 'radius': options.radius, 'learned': learned}
  fields['sweeps'] = options.animate is Sweep.focus
  return lens_lib.lens(disparity, focus=focus, **fields)


def _described(lens: lens_lib.Lens, shape: tuple[int, int]) -> str:
  text = f'in focus at disparity {lens.focus:.3f}, blur radius up to {lens.largest:.1f} pixels'
  if lens.largest == lens.wanted:
    return text
  return f'{text} ({lens.wanted:.1f} is too large for {shape[1]} x {shape[0]} pixels)'


def _learned(options: Options) -> refocus_lib.Learned | None:
  if options.method is Method.classical:
    return None
  path = options.weights
  return refocus_lib.builtin() if path is None else refocus_lib.load(path)


def _ending(options: Options, photo: pathlib.Path) -> str:
  """The ending of a result in a folder: that of the photograph if it supports the bits."""
  return '.mp4' if options.animate else endings.result_ending(photo, options.bits)


def _check_output(options: Options, output: pathlib.Path) -> list[pathlib.Path]:
  """Refuses an output that cannot be written, before any work; returns what would be written."""
  is_video = output.suffix.lower() in video.EXTENSIONS
  if options.animate and not is_video:
    raise InputError(output, 'cannot be an animation', 'a name ending in .mp4 or .gif')
  if is_video and not options.animate:
    raise InputError(output, 'would be an animation', '--animate=focus or --animate=aperture')
  atomic.check_output(output, video.EXTENSIONS if is_video else images.EXTENSIONS)
  endings.check_bits(output, options.bits or 8)
  return depth_maps.check_kept(options, [output])
