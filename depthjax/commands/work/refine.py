"""`depthjax refine`: depth maps read, refined by the pipelines and written in their own units."""

import functools
import pathlib
from typing import NamedTuple

import numpy as np
from rich import console, progress

from depthjax.commands import runner
from depthjax.commands.options import Convention
from depthjax.commands.refine import Align, Options, Scale
from depthjax.commands.work import folders
from depthjax.configuring import ConfigError
from depthjax.files import atomic, colormaps, images
from depthjax.files import depth as depth_files
from depthjax.files.errors import InputError
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import maps
from depthjax.pipelines.refine import refine as refine_lib
from depthjax.pipelines.refine import resolutions, two_stage


class Map(NamedTuple):
  """A disparity map float32 [h w 1] in [0, 1], and what its file holds: NAME, range, convention."""

  values: np.ndarray
  name: pathlib.Path | str
  offset: float = 0.0
  span: float = 1.0
  convention: Convention = Convention.disparity

  def in_units(self, values: np.ndarray) -> np.ndarray:
    """Disparity on the scale of `values` as the file would hold it.

    A depth stays between the nearest and the farthest of the file.
    """
    if self.convention is Convention.depth:
      # Beyond its range a disparity may be none of any depth.
      values = np.clip(values, 0, 1)
    disparity = values.astype(np.float64) * self.span + self.offset
    return (disparity if self.convention is Convention.disparity else 1 / disparity).astype(
      np.float32
    )


class Job(NamedTuple):
  """What holds for every picture of a command."""

  options: Options
  refiner: refine_lib.Refiner
  predictor: resolutions.Predict | None
  settings: two_stage.Settings


def run(options: Options) -> None:
  """Refines one map, or those of a folder."""
  sources = options.sources()
  folders.map_files(
    tuple(sources.values()),
    options.output,
    load=lambda: functools.partial(_refine_one, _job(options), tuple(sources)),
    check=functools.partial(_check_output, options),
    ending=lambda _: f'.{options.ending}',
    kind=folders.DEPTH_MAP if options.photo is None else folders.PHOTOGRAPH,
  )


def _job(options: Options) -> Job:
  """Loads what the options name.

  Raises:
    InputError: weights that cannot be read, or are of another task.
    ConfigError: a side that no network has.
  """
  net = input_size = None
  refiner = refine_lib.builtin() if options.weights is None else refine_lib.load(options.weights)
  if options.predictor is not None:
    predictor = depth_lib.load(options.predictor)
    net, input_size = two_stage.of_predictor(predictor), predictor.input_size
  settings = two_stage.Settings(
    **{'levels': options.levels} if options.levels else {},
    side=options.side,
    ensemble=options.ensemble,
    local=options.align is Align.local,
    input_size=input_size,
  )
  if options.side is not None:
    with runner.refusals('--side: '):
      refine_lib.checked_side(options.side)
  return Job(options, refiner, net, settings)


def _refine_one(job: Job, names: tuple[str, ...], *paths: pathlib.Path, show: bool) -> list[str]:
  """Refines one map: `paths` are of what is named (photo, low, high), the last of the result."""
  *sources, output = paths
  of, options = dict(zip(names, sources, strict=True)), job.options
  photo = images.read_image(of['photo']) if 'photo' in of else None
  low = _read(of['low'], options.convention, options, photo) if 'low' in of else None
  high = low
  if 'high' in of:
    high = _read(of['high'], options.high_convention or options.convention, options, photo)
    depth_files.needs_resize(high.name, high.values.shape[:2], low.values.shape[:2], low.name)
  if job.predictor is None:
    result = _refined(job, photo, low, high, show)
  else:
    result, low = _predicted(job, photo, low, show)
  values = _write(output, result, low, options)
  (h, w), seen = result.shape[:2], _seen(job, result.shape[:2])
  return [f'{output}: {w} x {h} pixels, {values}; the network saw {seen}']


def _read(
  path: pathlib.Path, convention: Convention, options: Options, photo: np.ndarray | None
) -> Map:
  """A depth map at its own size, in the proportions of the photograph."""
  read = depth_files.read_depth(path, convention=convention.value, invalid=options.invalid)
  if photo is not None:
    depth_files.needs_resize(path, read.raw.shape, photo.shape[:2])
  values = read.raw[read.valid].astype(np.float64)
  if convention is Convention.depth:
    values = 1 / values
  offset = float(values.min())
  return Map(read.disparity, path, offset, float(values.max()) - offset, convention)


def _predicted(job: Job, photo: np.ndarray, low: Map | None, show: bool) -> tuple[np.ndarray, Map]:
  """`_refined` with what the predictor says of the photograph, and the low map."""
  net, side = job.predictor, job.settings.input_size
  if low is None:
    seen = resolutions.predict(net, photo, side)
    low = Map(maps.unit(seen, 'predicted').values, 'the prediction')
  finer = resolutions.predict(net, photo, min(2 * side, resolutions.FINEST))
  high = Map(finer, 'the prediction')
  return _refined(job, photo, low, high, show), low


def _refined(job: Job, photo: np.ndarray | None, low: Map, high: Map, show: bool) -> np.ndarray:
  """Disparity on the scale of low.values, of the size of the photograph or the wanted one."""
  _check_signs(low, high, job.options)
  size = job.options.shape()
  _check_size(size, low)
  shape = size if photo is None else photo.shape[:2]
  if job.options.stages == 1:
    names = ('side', 'ensemble', 'local')
    fields = {name: getattr(job.settings, name) for name in names}
    return refine_lib.refine(low.values, high.values, job.refiner, shape=shape, **fields)
  total = two_stage.calls(job.settings, predicts=job.predictor is not None)
  screen = console.Console(stderr=True)
  # Even what is transient leaves an empty line where nobody watches.
  show = show and screen.is_interactive
  with progress.Progress(console=screen, transient=True, disable=not show) as bar:
    task = bar.add_task('refining', total=total)
    return two_stage.refine(
      low.values,
      high.values,
      job.refiner,
      shape=shape,
      photo=photo,
      predictor=job.predictor,
      settings=job.settings,
      done=lambda: bar.advance(task),
    )


def _seen(job: Job, shape: tuple[int, int]) -> str:
  """What the network saw of a picture of (h, w) pixels."""
  if job.options.stages == 1:
    side = job.settings.side or refine_lib.chosen_side(job.refiner, shape)
    return f'{side} x {side} pixels'
  side = two_stage.side_of(job.refiner, shape, job.settings)
  return f'{side} x {side} pixels and {two_stage.calls(job.settings, predicts=False) - 1} windows'


def _check_signs(low: Map, high: Map, options: Options) -> None:
  """Refuses maps of which one grows where the other falls, and says how to name what they are."""
  agreement = maps.correlation(low.values, high.values)
  if agreement >= maps.OPPOSED:
    return
  wrong = f'runs against {high.name} (rank correlation {agreement:.2f})'
  right = f'another --convention than {options.convention}'
  if options.high is not None:
    sharp = options.high_convention or options.convention
    right += f', or another --high-convention than {sharp}: one of them'
  raise InputError(low.name, wrong, right)


def _check_size(size: tuple[int, int] | None, low: Map) -> None:
  """Maps may be stretched to the size that is asked for, but rows are no columns."""
  if size is None:
    return
  wanted, have = size[1] / size[0], low.values.shape[1] / low.values.shape[0]
  off, turned = abs(wanted / have - 1), abs(1 / wanted / have - 1)
  if turned <= depth_files.ASPECT_TOLERANCE < off:
    h, w = size
    raise ConfigError(f'--size is {h}x{w}, rows x columns, as if {low.name} were turned; {w}x{h}?')


def _scale(output: pathlib.Path, options: Options) -> Scale:
  return options.scale or (Scale.unit if output.suffix.lower() == '.png' else Scale.own)


def _write(output: pathlib.Path, result: np.ndarray, low: Map, options: Options) -> str:
  """Writes a result, and its preview, and says what its values are."""
  unit = maps.unit(result, 'refined').values
  own = _scale(output, options) is Scale.own
  depth_files.write_depth(output, low.in_units(result) if own else unit)
  if options.preview:
    images.write_image(_preview(output), colormaps.colour(unit))
  if own:
    return f'{low.convention} in the units of {low.name}'
  return 'disparity from 0 to 1, near is large'


def _preview(output: pathlib.Path) -> pathlib.Path:
  return output.with_name(f'{output.stem}.preview.png')


def _check_output(options: Options, output: pathlib.Path) -> None:
  """Refuses an output that could not be written before any work is done for it."""
  atomic.check_output(output, depth_files.EXTENSIONS)
  if options.preview:
    atomic.check_output(_preview(output), ('.png',))
