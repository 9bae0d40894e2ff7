"""`depthjax mask-refine`: reads depth maps and masks, refines and writes the maps."""

import functools
import pathlib
from typing import Any

import numpy as np

from depthjax.commands import runner
from depthjax.commands.mask_refine import Method, Options
from depthjax.commands.work import depth_maps, folders, pairs
from depthjax.files import depth as depth_files
from depthjax.files import images, masks
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines.mask_refine import automatic, learned, refine

_AUTO = '--mask=auto'


def run(options: Options) -> None:
  """Refines one map, or those of a folder."""
  depths, (masks_of, auto) = options.depths(), options.masks()

  def load() -> folders.Work:
    network = None
    if options.method is Method.learned:
      network = learned.builtin() if options.weights is None else learned.load(options.weights)
    session = automatic.session(_AUTO) if auto else None
    return functools.partial(_refine_one, options, network, depth_maps.load(options), session)

  folders.map_files(
    (options.photo, *depths, *masks_of),
    options.output,
    load=load,
    check=functools.partial(depth_maps.check_refined, options),
    ending=lambda _: f'.{options.ending}',
    kinds=(pairs.PHOTOGRAPH, *[pairs.DEPTH_MAP] * len(depths), *[pairs.MASK] * len(masks_of)),
    resume=options.resume,
  )


def _refine_one(
  options: Options,
  network: learned.Network | None,
  predictor: Predictor | None,
  session: Any,
  *paths: pathlib.Path,
  show: bool,
) -> None:
  """Refines one map; `show` is unused, because a single step has no progress."""
  photo_path, *others, output = paths
  max_pixels, count = options.max_megapixels * 10**6, len(options.depths())
  source = others[0] if count else photo_path
  photo = images.read_image(photo_path, max_pixels=max_pixels)
  if predictor is None:
    read = depth_maps.read(options, photo_path, *others[:count])
    fields = {'stretch': options.stretch}
    depth_files.needs_resize(source, read.raw.shape, photo.shape[:2], **fields)
  else:
    read = depth_maps.predict(options, predictor, photo, photo_path, output)
  given = {path: masks.read_mask(path, max_pixels=max_pixels) for path in others[count:]}
  if session is not None:
    given[f'{photo_path} ({_AUTO})'] = automatic.mask(photo, session)
  fields = {'soft': options.soft, 'invert': options.invert}
  result = refine.refine(photo, read, given, network, **fields)
  for name in result.farther:
    wrong = 'marks the farther side, as a mask of the sky does; if it should mark the nearer one'
    runner.say(f'{name}: {wrong}, {"omit" if options.invert else "give"} --invert')
  if predictor is None:
    _write(output, result, read.convention, source)
    if options.preview:
      depth_maps.write_preview(output, result.disparity)
  else:
    read = read._replace(disparity=result.disparity, raw=result.raw)
    depth_maps.write_predicted(output, read, predictor, options.preview)


def _write(
  output: pathlib.Path, result: refine.Refined, convention: str, source: pathlib.Path
) -> None:
  """Writes a result in the units of the file `source`, and says what it is."""
  values, full_scale = result.raw, depth_files.full_scale(source)
  text = f'{convention} in the units of {source}'
  if output.suffix.lower() == '.png' and full_scale:
    values = values / np.float32(full_scale)
    text = f'{convention} as a fraction of full scale, as in {source}'
  depth_files.write_depth(output, values, channel='Z' if convention == 'depth' else 'Y')
  h, w = values.shape
  print(f'{output}: {w} x {h} pixels, {text}')
