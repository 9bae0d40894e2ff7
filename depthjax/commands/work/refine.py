"""`depthjax refine`: reads depth maps, refines them and writes them in their units."""

import functools
import pathlib
from typing import NamedTuple

import numpy as np
from rich import console, progress

from depthjax.commands import options as options_lib
from depthjax.commands import runner
from depthjax.commands.options import Convention, is_embedded
from depthjax.commands.refine import Align, Options, Scale
from depthjax.commands.work import depth_maps, folders, pairs
from depthjax.files import depth as depth_files
from depthjax.files import images
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import maps, units
from depthjax.pipelines.refine import refine as refine_lib
from depthjax.pipelines.refine import resolutions, two_stage
from depthjax.pipelines.units import Map


class Job(NamedTuple):
  """The options, the networks and the settings."""

  options: Options
  refiner: refine_lib.Refiner
  predictor: Predictor | None
  settings: two_stage.Settings


def run(options: Options) -> None:
  """Refines one map, or those of a folder."""
  sources = options.sources()
  first = pairs.DEPTH_MAP if options.photo is None else pairs.PHOTOGRAPH
  folders.map_files(
    tuple(sources.values()),
    options.output,
    load=lambda: functools.partial(_refine_one, _job(options), tuple(sources)),
    check=functools.partial(depth_maps.check_refined, options),
    ending=lambda _: f'.{options.ending}',
    kinds=(first, *[pairs.DEPTH_MAP] * 2),
    resume=options.resume,
  )


def _job(options: Options) -> Job:
  """Checks the input size and loads the networks."""
  if options.input_size is not None:
    with runner.refusals('--input-size: '):
      refine_lib.check_input_size(options.input_size)
  refiner = refine_lib.builtin() if options.weights is None else refine_lib.load(options.weights)
  predictor = depth_maps.load(options)
  fields = {'input_size': options.input_size}
  fields['predictor_size'] = None if predictor is None else predictor.input_size
  fields |= {'ensemble': options.ensemble, 'local': options.align is Align.local}
  return Job(options, refiner, predictor, two_stage.Settings(options.levels or 2, **fields))


def _refine_one(job: Job, names: tuple[str, ...], *paths: pathlib.Path, show: bool) -> None:
  """Refines one map; `paths` are those of `names` (photo, low, high), then the result."""
  *sources, output = paths
  of, options = dict(zip(names, sources, strict=True)), job.options
  photo = None
  if 'photo' in of:
    photo = images.read_image(of['photo'], max_pixels=options.max_megapixels * 10**6)
  low = _read(of['low'], options.convention, options, photo) if 'low' in of else None
  if is_embedded(options.depth):
    low = _read(of['photo'], options.convention, options, photo, embedded=True)
  if job.predictor is not None:
    low, high = _predicted(job, photo, low, of['photo'], output)
  elif 'high' in of:
    high = _read(of['high'], options.high_convention or options.convention, options, photo)
    depth_files.needs_resize(high.name, high.values.shape[:2], low.values.shape[:2], low.name)
  else:
    high = low
  result = _refined(job, photo, low, high, show)
  values = _write(output, result, low, options)
  h, w = result.shape[:2]
  print(f'{output}: {w} x {h} pixels, {values}; network input {_input_size(job, (h, w))}')


def _read(
  path: pathlib.Path,
  convention: Convention,
  options: Options,
  photo: np.ndarray | None,
  embedded: bool = False,
) -> Map:
  """Reads a depth map at its own size; its aspect ratio must be that of the photograph."""
  fields = options_lib.reading(options)
  read = depth_files.read_depth(path, convention=convention.value, embedded=embedded, **fields)
  result = units.of(read, path)._replace(full_scale=depth_files.full_scale(path))
  if photo is not None:
    size, (h, w) = read.raw.shape, photo.shape[:2]
    depth_files.needs_resize(path, size, (h, w), stretch=options.stretch)
    if options.stretch:
      size = size[0], max(1, round(size[0] * w / h))
      result = result._replace(values=maps.resized(result.values, size))
      if result.far is not None:
        far = maps.resized(result.far.astype(np.float32), size) > 0.5
        result = result._replace(far=far)
  print(f'{path}: {read.summary}')
  return result


def _predicted(
  job: Job, photo: np.ndarray, low: Map | None, path: pathlib.Path, output: pathlib.Path
) -> tuple[Map, Map]:
  """The low map, predicted if not given, and the high map, predicted at twice the size."""
  if low is None:
    name = 'the prediction, metres' if job.predictor.metric else 'the prediction'
    low = units.of(depth_maps.predict(job.options, job.predictor, photo, path, output), name)
  size = min(2 * job.predictor.input_size, resolutions.LARGEST)
  finer = depth_lib.predict_map(photo, job.predictor, size, name=path)
  return low, Map(finer.disparity, 'the prediction')


def _refined(job: Job, photo: np.ndarray | None, low: Map, high: Map, show: bool) -> np.ndarray:
  """Disparity on the scale of low.values, at the size of the photograph or of the high map."""
  shape = None if photo is None else photo.shape[:2]
  if job.options.stages == 1:
    fields = {name: getattr(job.settings, name) for name in ('input_size', 'ensemble', 'local')}
    return refine_lib.refine(low.values, high.values, job.refiner, shape=shape, **fields)
  total = two_stage.calls(job.settings, predicts=job.predictor is not None)
  predict = None if job.predictor is None else two_stage.of_predictor(job.predictor)
  fields = {'photo': photo, 'predictor': predict, 'settings': job.settings, 'shape': shape}
  screen = console.Console(stderr=True)
  # Without a terminal, even a transient bar prints an empty line.
  show = show and screen.is_interactive
  with progress.Progress(console=screen, transient=True, disable=not show) as bar:
    fields['done'] = functools.partial(bar.advance, bar.add_task('refining', total=total))
    return two_stage.refine(low.values, high.values, job.refiner, **fields)


def _input_size(job: Job, shape: tuple[int, int]) -> str:
  """Describes the input of the network for a picture of (h, w) pixels."""
  if job.options.stages == 1:
    size = job.settings.input_size or refine_lib.default_input_size(job.refiner, shape)
    return f'{size} x {size} pixels'
  size = two_stage.input_size_of(job.refiner, shape, job.settings)
  return f'{size} x {size} pixels and {two_stage.calls(job.settings, predicts=False) - 1} windows'


def _write(output: pathlib.Path, result: np.ndarray, low: Map, options: Options) -> str:
  """Writes a result and its preview; describes its values."""
  far = low.far_in(result)
  unit = np.where(far, 0, np.clip(result, 0, 1)).astype(np.float32)
  values, text, scale = unit, 'disparity in [0, 1], near is large', options.scale
  if output.suffix.lower() != '.png':
    if scale is not Scale.unit:
      values = low.in_units(result, far)
      text = f'{low.convention} in the units of {low.name}'
  elif scale is None and low.full_scale and low.convention == 'disparity':
    values = np.clip(low.in_units(result, far) / low.full_scale, 0, 1)
    text = f'disparity as a fraction of full scale, as in {low.name}'
  distances = values is not unit and low.convention == 'depth'
  depth_files.write_depth(output, values, channel='Z' if distances else 'Y')
  if options.preview:
    depth_maps.write_preview(output, unit)
  return text
