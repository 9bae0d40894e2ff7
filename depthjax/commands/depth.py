"""`depthjax depth`: disparity of a photograph by a trained network."""

import pathlib
from typing import Annotated

import typer

from depthjax import main as main_lib
from depthjax.files import atomic, images
from depthjax.files import depth as depth_files
from depthjax.models.predictors import predictor as predictors
from depthjax.pipelines import depth as depth_lib


def depth(
  photo: Annotated[pathlib.Path, typer.Argument(help='Photograph: PNG, JPEG, WebP, TIFF.')],
  output: Annotated[
    pathlib.Path, typer.Option('-o', '--output', help='Disparity: 16-bit PNG, NPY, PFM, EXR.')
  ],
  weights: Annotated[pathlib.Path, typer.Option(help="A run's folder or its weights.safetensors.")],
) -> None:
  """Predict the disparity of a photograph: 1 is nearest, 0 farthest."""
  atomic.check_output(output, depth_files.EXTENSIONS)
  picture = images.read_image(photo)
  predictor = depth_lib.load(weights)
  main_lib.use_compilation_cache()
  depth_files.write_depth(output, depth_lib.predict(picture, predictor))
  h, w = predictors.frame(predictor, picture.shape[:2])
  print(f'{output}: disparity, near is large; the network saw {w} x {h} pixels')
