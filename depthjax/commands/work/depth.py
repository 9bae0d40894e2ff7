"""`depthjax depth`: reads a photograph, predicts its disparity and writes it."""

from depthjax.commands.depth import Options
from depthjax.files import atomic, images
from depthjax.files import depth as depth_files
from depthjax.models.predictors import predictor as predictors
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import predictors as predictors_lib


def run(options: Options) -> None:
  """Predicts the disparity of one photograph."""
  atomic.check_output(options.output, depth_files.EXTENSIONS)
  atomic.check_not_input(options.output, atomic.identities([options.photo]))
  picture = images.read_image(options.photo, max_pixels=options.max_megapixels * 10**6)
  predictor = predictors_lib.load(options.weights)
  depth_files.write_depth(options.output, depth_lib.predict(picture, predictor))
  h, w = predictors.frame(predictor, picture.shape[:2])
  print(f'{options.output}: disparity, near is large; network input {w} x {h} pixels')
