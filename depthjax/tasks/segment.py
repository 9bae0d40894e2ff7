"""Segmentation of glass and mirrors in photographs: one logit a pixel, BCE and Dice."""

import functools

import jax
import jax.numpy as jnp
import ml_collections

from depthjax.losses import segment as losses
from depthjax.metrics import depth as metrics_lib
from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors import segmenter as segmenters
from depthjax.ops import colour
from depthjax.tasks import scene, tom
from depthjax.tasks.task import Env, Task, trained

Images = dict[str, jax.Array]


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/segment.py.

  Raises ValueError: unknown networks or fields of one, unsupported frame size.
  """
  segmenter = segmenters.describe(config.model.to_dict(), env.axis_name)
  scene.check_frame(config.data, segmenter.multiple)
  render = functools.partial(tom.render_example, geometry=scene.geometry(config.data))
  examples = env.map_examples({'scene': render, 'labelled': tom.unpack}[config.data.kind])

  def inputs(frozen, records):
    del frozen
    seen = examples(records)
    if 'jitter' in seen:
      seen['image'] = colour.jittered(seen['image'], seen['jitter'])
    return {name: seen[name] for name in ('image', 'tom')}

  def loss(variables, frozen, inputs, key, step):
    del frozen, key, step
    logits, state = trained(segmenter, variables, inputs['image'])
    return {f.__name__: f(logits, inputs['tom']) for f in (losses.bce, losses.dice)}, state

  return Task(
    init=lambda key, inputs: segmenter.network.init(key, inputs['image'], False),
    apply=lambda variables, inputs: predictors.output(segmenter, variables, inputs['image']),
    inputs=inputs,
    loss=loss,
    metrics=metrics,
    pictures=pictures,
  )


def metrics(logits: jax.Array, inputs: Images) -> dict[str, jax.Array]:
  """BCE, and IoU of masks at a probability of 0.5, undefined without glass and mirrors."""
  true = inputs['tom']
  iou = metrics_lib.iou(jax.nn.sigmoid(logits), true)
  some = (true > 0).any(axis=(1, 2, 3)) * 1.0
  return {'bce': losses.bce(logits, true), 'iou': iou._replace(weight=some)}


def pictures(logits: jax.Array, inputs: Images) -> Images:
  """Image, predicted probability and true mask side by side."""
  row = [jax.nn.sigmoid(logits), inputs['tom']]
  row = [jnp.broadcast_to(x, inputs['image'].shape) for x in row]
  return {'masks': jnp.concatenate([inputs['image'], *row], axis=2)}
