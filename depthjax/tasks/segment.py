"""Segmentation of glass and mirrors in photographs: one logit a pixel, BCE and Dice."""

import jax
import jax.numpy as jnp
import ml_collections

from depthjax.losses import segment as losses
from depthjax.metrics import depth as metrics_lib
from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors import segmenter as segmenters
from depthjax.tasks import deeplens_depth, scene
from depthjax.tasks.task import Env, Task, forward

Images = dict[str, jax.Array]


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/segment.py.

  Raises:
    ValueError: unknown networks or fields of one, unsupported frame size.
  """
  try:
    segmenter = segmenters.describe(config.model.to_dict(), env.axis_name)
  except (KeyError, TypeError) as error:
    known = ', '.join(segmenters.NETWORKS)
    raise ValueError(f'model is not the description of one of {known} ({error})') from error
  deeplens_depth.check_frame(config.data, segmenter.multiple)

  def loss(variables, frozen, inputs, key, step):
    del frozen, key, step
    image = predictors.normalised(segmenter, inputs['image'])
    logits, state = forward(segmenter.network, variables, image, True)
    logits = logits['disparity'] if isinstance(logits, dict) else logits
    return {f.__name__: f(logits, inputs['tom']) for f in (losses.bce, losses.dice)}, state

  return Task(
    init=lambda key, inputs: segmenters.initial(segmenter, key),
    apply=lambda variables, inputs: predictors.output(segmenter, variables, inputs['image']),
    inputs=_inputs(config.data, env),
    loss=loss,
    metrics=metrics,
    pictures=pictures,
  )


def _inputs(data: ml_collections.ConfigDict, env: Env):
  """The function from records to sRGB images [b h w 3] and masks `tom` [b h w 1]."""
  geometry = scene.geometry(data)

  def render(record):
    seen = scene.appearance(scene.unpack(record, geometry))
    return {'image': scene.encode(seen.image), 'tom': seen.tom}

  examples = env.map_examples(render)
  return lambda frozen, records: examples(records)


def metrics(logits: jax.Array, inputs: Images) -> dict[str, jax.Array]:
  """Scores of each example: BCE, IoU, precision and recall of the mask at a probability of 0.5.

  IoU and recall are undefined without glass and mirrors, precision where none are found.
  """
  found, tom = jax.nn.sigmoid(logits), inputs['tom']
  recall = metrics_lib.precision(tom, found)
  return {
    'bce': losses.bce(logits, tom),
    'iou': metrics_lib.iou(found, tom)._replace(weight=recall.weight),
    'precision': metrics_lib.precision(found, tom),
    'recall': recall,
  }


def pictures(logits: jax.Array, inputs: Images) -> Images:
  """Image, predicted probability and true mask side by side."""
  row = [jax.nn.sigmoid(logits), inputs['tom']]
  row = [jnp.broadcast_to(x, inputs['image'].shape) for x in row]
  return {'masks': jnp.concatenate([inputs['image'], *row], axis=2)}
