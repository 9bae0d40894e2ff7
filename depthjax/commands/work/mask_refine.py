"""`depthjax mask-refine`: reads depth maps and masks, refines and writes the maps."""

import functools
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from depthjax.commands import runner
from depthjax.commands.mask_refine import Method, Options
from depthjax.commands.work import depth_maps, folders, pairs
from depthjax.files import depth as depth_files
from depthjax.files import images, masks
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines.mask_refine import automatic, learned, refine

_AUTO = '--mask=auto'


class Job(NamedTuple):
  """The options and the networks."""

  options: Options
  network: learned.Network | None
  predictor: Predictor | None
  automatic: Callable[[np.ndarray], np.ndarray] | None  # Photograph -> mask.


def run(options: Options) -> None:
  """Refines one map, or those of a folder."""
  depths, (masks_of, _) = options.depths(), options.masks()
  folders.map_files(
    (options.photo, *depths, *masks_of),
    options.output,
    load=lambda: functools.partial(_refine_one, _job(options)),
    check=functools.partial(depth_maps.check_refined, options),
    ending=lambda _: f'.{options.ending}',
    kinds=(pairs.PHOTOGRAPH, *[pairs.DEPTH_MAP] * len(depths), *[pairs.MASK] * len(masks_of)),
    resume=options.resume,
  )


def _job(options: Options) -> Job:
  """Loads the networks."""
  network = None
  if options.method is Method.learned:
    network = learned.builtin() if options.weights is None else learned.load(options.weights)
  made = automatic.load(_AUTO) if options.masks()[1] else None
  return Job(options, network, depth_maps.load(options), made)


def _refine_one(job: Job, *paths: pathlib.Path, show: bool) -> None:
  """Refines one map and writes it; `show` is unused, because a single step has no progress."""
  *sources, output = paths
  found, preview = _refined(job, *paths), job.options.preview
  if job.predictor is not None:
    return depth_maps.write_predicted(output, found, job.predictor, preview)
  source = sources[1] if job.options.depths() else sources[0]
  values, full_scale = found.raw, depth_files.full_scale(source)
  text = f'{found.convention} in the units of {source}'
  if output.suffix.lower() == '.png' and full_scale:
    values = values / np.float32(full_scale)
    text = f'{found.convention} as a fraction of full scale, as in {source}'
  depth_files.write_depth(output, values, channel='Z' if found.convention == 'depth' else 'Y')
  if preview:
    depth_maps.write_preview(output, found.disparity)
  h, w = values.shape
  print(f'{output}: {w} x {h} pixels, {text}')


def _refined(job: Job, path: pathlib.Path, *paths: pathlib.Path) -> depth_files.Depth:
  """The refined map of a photograph; the other paths are its map and masks, then the result."""
  (*others, output), options = paths, job.options
  max_pixels, count = options.max_megapixels * 10**6, len(options.depths())
  photo = images.read_image(path, max_pixels=max_pixels)
  if job.predictor is None:
    read = depth_maps.read(options, path, *others[:count])
    name, shape = [path, *others][count], photo.shape[:2]
    depth_files.needs_resize(name, read.raw.shape, shape, stretch=options.stretch)
  else:
    read = depth_maps.predict(options, job.predictor, photo, path, output)
  given = {x: masks.read_mask(x, max_pixels=max_pixels) for x in others[count:]}
  if job.automatic is not None:
    given[f'{path} ({_AUTO})'] = job.automatic(photo)
  fields = {'soft': options.soft, 'invert': options.invert}
  result = refine.refine(photo, read, given, job.network, **fields)
  for name in result.farther:
    wrong = 'marks the farther side, as a mask of the sky does; if it should mark the nearer one'
    runner.say(f'{name}: {wrong}, {"omit" if options.invert else "give"} --invert')
  return read._replace(disparity=result.disparity, raw=result.raw)
