"""`depthjax depth`: reads photographs, predicts their depth maps and writes them."""

import functools
import pathlib

from depthjax.commands.depth import Options
from depthjax.commands.work import depth_maps, folders
from depthjax.files import images
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import predictors


def run(options: Options) -> None:
  """Predicts the depth map of one photograph, or those of a folder."""
  folders.map_files(
    (options.photo,),
    options.output,
    load=lambda: functools.partial(_predict_one, options, predictors.load(options.predictor)),
    check=functools.partial(depth_maps.check_output, preview=options.preview),
    ending=lambda _: f'.{options.ending}',
    resume=options.resume,
  )


def _predict_one(
  options: Options, predictor: Predictor, photo: pathlib.Path, output: pathlib.Path, show: bool
) -> None:
  """Predicts one depth map; `show` is unused, because a single step has no progress."""
  picture = images.read_image(photo, max_pixels=options.max_megapixels * 10**6)
  found = depth_lib.predict_map(picture, predictor, name=photo)
  depth_maps.write_predicted(output, found, predictor, preview=options.preview)
