"""The command `depthjax`: training verbs and photo tools; bad input is one line and code 2."""

import enum
import functools
import math
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, NoReturn

import numpy as np
import typer
from rich import progress

from depthjax import demo as demo_lib
from depthjax import main as main_lib
from depthjax.configuring import ConfigError
from depthjax.convert import checkpoints, resnet50
from depthjax.files import atomic, images, video
from depthjax.files import depth as depth_files
from depthjax.files import weights as weight_files
from depthjax.files.errors import InputError
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import refocus as refocus_lib
from depthjax.train.loop import NotFinite, Terminated

app = typer.Typer(
  add_completion=False,
  pretty_exceptions_enable=False,
  help='Depth for photographers: training in JAX, and tools for pictures.',
)

# What follows these verbs is for absl's flags: --config, its overrides, and its own help.
_FLAGS = {'allow_extra_args': True, 'ignore_unknown_options': True, 'help_option_names': []}


# What a wrong command line raises; newer typers carry click inside and no longer need the package.
_UsageError = typer.BadParameter.__base__


class Method(enum.StrEnum):
  """Renderers of shallow depth of field."""

  learned = 'learned'
  classical = 'classical'


class Convention(enum.StrEnum):
  """What the values of a depth file are."""

  disparity = 'disparity'
  depth = 'depth'


class Published(enum.StrEnum):
  """Networks whose published weights can be converted."""

  resnet50 = 'resnet50'


class Sweep(enum.StrEnum):
  """What an animation changes."""

  focus = 'focus'
  aperture = 'aperture'


def main() -> None:
  """Runs the command line; bad input is one line on stderr and exit code 2."""
  try:
    sys.exit(app(sys.argv[1:] or ['--help'], prog_name='depthjax', standalone_mode=False))
  except (InputError, ConfigError) as error:
    _fail(str(error))
  except (NotFinite, Terminated) as error:
    _fail(str(error), main_lib.code_of(error))
  except _UsageError as error:
    _fail(error.format_message())


def _fail(message: str, code: int = 2) -> NoReturn:
  print('depthjax:', *message.splitlines(), file=sys.stderr)
  sys.exit(code)


@app.command(context_settings=_FLAGS)
def train(context: typer.Context) -> None:
  """Train: --config=configs/lensblur.py:small --workdir=runs/x [--config.steps=100 ...]."""
  main_lib.run('train', context.args)


@app.command(context_settings=_FLAGS)
def evaluate(context: typer.Context) -> None:
  """Evaluate a run's newest checkpoint: --config=... --workdir=... [--split=test]."""
  main_lib.run('evaluate', context.args)


@app.command()
def demo(
  folder: Annotated[pathlib.Path, typer.Option(help='Where to write.')] = pathlib.Path('demo'),
  config: Annotated[pathlib.Path, typer.Option(help='The config file to train.')] = pathlib.Path(
    'configs/lensblur.py'
  ),
) -> None:
  """Train the smoke size, evaluate it, refocus a real photograph, and write a report."""
  main_lib.use_compilation_cache()
  demo_lib.run(folder, config)


@app.command()
def refocus(
  photo: Annotated[pathlib.Path, typer.Argument(help='Photograph: PNG, JPEG, WebP, TIFF.')],
  depth: Annotated[pathlib.Path, typer.Argument(help='Its depth: PNG, TIFF, NPY, PFM, EXR.')],
  output: Annotated[
    pathlib.Path, typer.Option('-o', '--output', help='Picture, or .mp4/.gif with --animate.')
  ],
  focus: Annotated[str, typer.Option(help='Pixel to focus on, as x,y.')] = '',
  focus_disparity: Annotated[
    float | None, typer.Option(min=0, max=1, help='Disparity in focus; 0 is farthest.')
  ] = None,
  aperture: Annotated[float, typer.Option(min=0, max=1, help='0 closed to 1 wide.')] = 0.5,
  radius: Annotated[
    float | None, typer.Option(min=0, help='Largest blur radius, pixels; instead of --aperture.')
  ] = None,
  method: Annotated[
    Method | None, typer.Option(help='Default: learned with --weights, else classical.')
  ] = None,
  weights: Annotated[
    pathlib.Path | None, typer.Option(help="A run's folder or its weights.safetensors.")
  ] = None,
  convention: Annotated[
    Convention, typer.Option(help='Whether large values are near or far.')
  ] = Convention.disparity,
  invalid: Annotated[
    float | None, typer.Option(help='Value that marks missing depth, beside NaN and infinity.')
  ] = None,
  bits: Annotated[int, typer.Option(help='8, or 16 in PNG and TIFF: bits a channel.')] = 8,
  animate: Annotated[Sweep | None, typer.Option(help='Sweep to animate.')] = None,
  frames: Annotated[int, typer.Option(min=2, max=2000, help='Frames of the animation.')] = 48,
  fps: Annotated[float, typer.Option(min=1, max=120, help='Frames a second.')] = 24,
) -> None:
  """Blur a photograph by its depth as a wide lens would: near or far, at any size."""
  _check_output(output, animate, bits)
  picture = images.read_image(photo)
  shape = picture.shape[:2]
  read = depth_files.read_depth(depth, convention=convention.value, shape=shape, invalid=invalid)
  if read.resized:
    print(f'{depth}: resized to the photograph, {shape[1]} x {shape[0]} pixels')
  at = _focus(focus, focus_disparity, read.disparity)
  radius = _radius(aperture, radius, shape)
  main_lib.use_compilation_cache()
  render = functools.partial(_render, picture, read.disparity, _learned(method, weights))
  if animate is None:
    images.write_image(output, render(at, radius), bits=bits)
  else:
    video.write_animation(output, _animation(animate, frames, at, radius, render), fps)
  print(f'{output}: in focus at disparity {at:.3f}, blur radius up to {radius:.1f} pixels')


@app.command(name='depth')
def predict_depth(
  photo: Annotated[pathlib.Path, typer.Argument(help='Photograph: PNG, JPEG, WebP, TIFF.')],
  output: Annotated[
    pathlib.Path, typer.Option('-o', '--output', help='Disparity: 16-bit PNG, NPY, PFM, EXR.')
  ],
  weights: Annotated[pathlib.Path, typer.Option(help="A run's folder or its weights.safetensors.")],
) -> None:
  """Predict disparity from one photograph: 1 is nearest, 0 farthest."""
  atomic.check_output(output, depth_files.EXTENSIONS)
  picture = images.read_image(photo)
  predictor = depth_lib.load(weights)
  main_lib.use_compilation_cache()
  depth_files.write_depth(output, depth_lib.predict(picture, predictor))
  h, w = depth_lib.frame(picture.shape[:2], predictor.long_side)
  print(f'{output}: disparity, near is large, seen at {w} x {h} pixels')


@app.command()
def convert(
  network: Annotated[Published, typer.Argument(help='What the file holds.')],
  file: Annotated[pathlib.Path, typer.Argument(help='Its weights: .safetensors or .pth.')],
  output: Annotated[
    pathlib.Path, typer.Option('-o', '--output', help='A .safetensors file, or a folder for one.')
  ],
) -> None:
  """Convert published weights, for --config.initialise.weights of a training run."""
  target = output / weight_files.FILE_NAME if output.is_dir() else output
  atomic.check_output(target, ('.safetensors',))
  variables, rest = resnet50.convert(checkpoints.read(file), file)
  weight_files.save_weights(target, variables, {'task': network.value})
  parts = sorted({name.partition('.')[0] for name in rest if 'num_batches' not in name})
  print(f'{target}: the encoder; left out: {", ".join(parts) or "nothing"}')


def _render(
  picture: np.ndarray,
  disparity: np.ndarray,
  learned: refocus_lib.Learned | None,
  focus: float,
  radius: float,
) -> np.ndarray:
  try:
    return refocus_lib.refocus(picture, disparity, focus=focus, radius=radius, learned=learned)
  except ValueError as error:
    raise ConfigError(str(error)) from error


def _animation(
  sweep: Sweep, frames: int, focus: float, radius: float, render: Callable
) -> Iterator[np.ndarray]:
  if sweep is Sweep.focus:
    settings = [(at, radius) for at in refocus_lib.focus_sweep(frames)]
  else:
    settings = [(focus, size) for size in refocus_lib.aperture_sweep(frames, radius)]
  for setting in progress.track(settings, description='rendering'):
    yield render(*setting)


def _focus(point: str, disparity: float | None, scene: np.ndarray) -> float:
  """The disparity in focus: as given, at a point, or at the middle of the picture."""
  if point and disparity is not None:
    raise ConfigError('--focus and --focus-disparity say the same thing; give one of them')
  if disparity is not None:
    if math.isnan(disparity):
      raise ConfigError('--focus-disparity is nan; it must lie in [0, 1]')
    return disparity
  h, w = scene.shape[:2]
  try:
    x, y = (int(text) for text in (point or f'{w // 2},{h // 2}').split(','))
  except ValueError as error:
    raise ConfigError(f'--focus is {point!r}; a pixel as x,y, such as 320,200') from error
  try:
    return refocus_lib.disparity_at(scene, x, y)
  except ValueError as error:
    raise ConfigError(f'--focus: {error}') from error


def _radius(aperture: float, radius: float | None, shape: tuple[int, int]) -> float:
  try:
    return refocus_lib.radius_of(aperture, shape) if radius is None else radius
  except ValueError as error:
    raise ConfigError(str(error)) from error


def _learned(method: Method | None, path: pathlib.Path | None) -> refocus_lib.Learned | None:
  if method is Method.classical or (method is None and path is None):
    return None
  if path is None:
    raise ConfigError('--method=learned needs --weights, the --workdir of a training run')
  return refocus_lib.load(path)


def _check_output(output: pathlib.Path, animate: Sweep | None, bits: int) -> None:
  """Refuses an output that could not be written before any work is done for it."""
  moving = output.suffix.lower() in video.EXTENSIONS
  if animate and not moving:
    raise InputError(output, 'cannot hold an animation', 'a name ending in .mp4 or .gif')
  if moving and not animate:
    raise InputError(output, 'is an animation', '--animate=focus or --animate=aperture')
  atomic.check_output(output, video.EXTENSIONS if moving else images.EXTENSIONS)
  images.check_bits(output, bits)


if __name__ == '__main__':
  main()
