"""Fine-tuning of published depth predictors on scenes: normalised disparity of an image.

The loss and the metrics are those of deeplens_depth, without a foreground.
"""

import ml_collections

from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors import published
from depthjax.tasks import deeplens_depth, scene
from depthjax.tasks.task import Env, Task, trained


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/monocular.py.

  Raises:
    ValueError: unknown networks or fields of one, unsupported frame size.
  """
  try:
    predictor = published.describe(config.model.to_dict(), env.axis_name)
  except (KeyError, TypeError) as error:
    known = ', '.join(published.NETWORKS)
    raise ValueError(f'model is not the description of one of {known} ({error})') from error
  scene.check_frame(config.data, predictor.multiple)
  geometry = scene.geometry(config.data)
  render = env.map_examples(lambda record: deeplens_depth.render_example(record, geometry))

  def loss(variables, frozen, inputs, key, step):
    del frozen, key, step
    output, state = trained(predictor, variables, inputs['image'])
    outputs = {'disparity': predictors.near_large(predictor, output)}
    return deeplens_depth.terms(outputs, inputs, segmentation=0.0, mixed=False), state

  return Task(
    init=lambda key, inputs: predictor.network.init(key, inputs['image']),
    apply=lambda variables, inputs: {
      'disparity': predictors.raw(predictor, variables, inputs['image'])
    },
    inputs=lambda frozen, records: render(records),
    loss=loss,
    metrics=deeplens_depth.metrics,
    pictures=deeplens_depth.pictures,
  )
