"""`depthjax mask-refine`: reads depth maps and masks, refines and writes the maps."""

import functools
import pathlib
from typing import Any, NamedTuple

import numpy as np

from depthjax.commands import options as options_lib
from depthjax.commands import runner
from depthjax.commands.mask_refine import Method, Options
from depthjax.commands.work import depth_maps, folders, pairs
from depthjax.files import depth as depth_files
from depthjax.files import images
from depthjax.files import masks as mask_files
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines.mask_refine import automatic, learned, masks
from depthjax.pipelines.mask_refine import refine as refine_lib

_AUTO = '--mask=auto'


class Job(NamedTuple):
  """The options and the networks."""

  options: Options
  network: learned.Network | None
  predictor: Predictor | None
  session: Any  # Of rembg, for --mask=auto.


def run(options: Options) -> None:
  """Refines one map, or those of a folder."""
  depths, masks_of = options.depths(), options.masks()
  folders.map_files(
    (options.photo, *depths, *masks_of),
    options.output,
    load=lambda: functools.partial(_refine_one, _job(options)),
    check=lambda output: depth_maps.check_kept(
      options, depth_maps.check_output(output, options.preview)
    ),
    ending=lambda _: f'.{options.ending}',
    kinds=(pairs.PHOTOGRAPH, *[pairs.DEPTH_MAP] * len(depths), *[pairs.MASK] * len(masks_of)),
    resume=options.resume,
  )


def _job(options: Options) -> Job:
  """Loads the networks."""
  network = None
  if options.method is Method.learned:
    network = learned.builtin() if options.weights is None else learned.load(options.weights)
  session = automatic.session(_AUTO) if options.automatic() else None
  return Job(options, network, depth_maps.load(options), session)


def _refine_one(job: Job, *paths: pathlib.Path, show: bool) -> None:
  """Refines one map; `show` is unused, because a single step has no progress."""
  (path, *others, output), options = paths, job.options
  photo = images.read_image(path, max_pixels=options.max_megapixels * 10**6)
  count = len(options.depths())
  source = others[0] if count else path
  if job.predictor is None:
    read = _read(options, photo.shape[:2], source, embedded=not count)
  else:
    read = depth_maps.predict(options, job.predictor, photo, path, output)
  given = _masks(job, photo, path, others[count:], read.raw.shape)
  result = refine_lib.refine(photo, read, [*given.values()], job.network, soft=options.soft)
  for number in result.farther:
    wrong = 'marks the farther side, as a mask of the sky does; if it should mark the nearer one'
    runner.say(f'{[*given][number]}: {wrong}, {"omit" if options.invert else "give"} --invert')
  _write(job, output, result, read, source)


def _read(
  options: Options, shape: tuple[int, int], path: pathlib.Path, embedded: bool
) -> depth_files.Depth:
  """Reads a depth map at its own size; its aspect ratio must be that of the photo of (h, w)."""
  fields = options_lib.reading(options)
  convention = options.convention.value
  read = depth_files.read_depth(path, convention=convention, embedded=embedded, **fields)
  depth_files.needs_resize(path, read.raw.shape, shape, stretch=options.stretch)
  print(f'{path}: {read.summary}')
  return read


def _masks(
  job: Job,
  photo: np.ndarray,
  path: pathlib.Path,
  paths: list[pathlib.Path],
  shape: tuple[int, int],
) -> dict[pathlib.Path | str, np.ndarray]:
  """The masks of a photograph by name, at the size (h, w) of the depth map."""
  limit = job.options.max_megapixels * 10**6
  given = {name: mask_files.read_mask(name, max_pixels=limit) for name in paths}
  if job.session is not None:
    given[f'{path} ({_AUTO})'] = automatic.mask(photo, job.session)
  if job.options.invert:
    given = {name: 1 - mask for name, mask in given.items()}
  fields = {'photo': photo.shape[:2]}
  return {name: masks.checked(mask, shape, name, **fields) for name, mask in given.items()}


def _write(
  job: Job,
  output: pathlib.Path,
  result: refine_lib.Refined,
  read: depth_files.Depth,
  source: pathlib.Path,
) -> None:
  """Writes a result in the units of its depth map, and its preview; says what it is."""
  values, preview = result.raw, job.options.preview
  if job.predictor is not None:
    found = read._replace(disparity=result.disparity, raw=values)
    return depth_maps.write_predicted(output, found, job.predictor, preview)
  text, full_scale = f'in the units of {source}', depth_files.full_scale(source)
  if output.suffix.lower() == '.png' and full_scale:
    values = values / np.float32(full_scale)
    text = f'as a fraction of full scale, as in {source}'
  depth_files.write_depth(output, values, channel='Z' if read.convention == 'depth' else 'Y')
  if preview:
    depth_maps.write_preview(output, result.disparity)
  h, w = values.shape
  print(f'{output}: {w} x {h} pixels, {read.convention} {text}')
