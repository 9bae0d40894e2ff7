"""`depthjax tom-masks`: reads photographs, finds glass and mirrors, and writes their masks."""

import functools
import pathlib

from depthjax.commands.tom_masks import Options
from depthjax.commands.work import folders
from depthjax.files import atomic, depth_values, images
from depthjax.models.predictors import predictor as predictor_lib
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth, predictors


def run(options: Options) -> None:
  """Writes the mask of one photograph, or those of a folder."""
  folders.map_files(
    (options.photo,),
    options.output,
    load=lambda: functools.partial(_mask_one, options, predictors.load_segmenter(options.weights)),
    check=lambda output: [atomic.check_output(output, ('.png',))],
    ending=lambda _: '.png',
    resume=options.resume,
  )


def _mask_one(
  options: Options, segmenter: Predictor, photo: pathlib.Path, output: pathlib.Path, show: bool
) -> None:
  """Writes one mask; `show` is unused, because a single step has no progress."""
  picture = images.read_image(photo, max_pixels=options.max_megapixels * 10**6)
  inside = depth.probability(picture, segmenter) > 0.5
  images.write_image(output, inside.astype('float32'))
  h, w = predictor_lib.frame(segmenter, picture.shape[:2])
  found = depth_values.percent(inside)
  print(f'{output}: {found} glass or mirror; network input {w} x {h} pixels')
