"""Depth prediction: normalised disparity of a photograph, and its foreground to sharpen the edges.

The scene is composited on the device with everything in focus. The paper takes depth and
segmentation from different data sets and mixes both in every batch; here one scene could be either,
and its number says which it is (DeepLens, sections 3.1 and 4.2, eq. 1).
"""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from depthjax.losses import image as losses
from depthjax.metrics import depth as metrics_lib
from depthjax.metrics import image as image_metrics
from depthjax.models.deeplens import depthnet
from depthjax.ops import colour, layers
from depthjax.ops import disparity as disparity_lib
from depthjax.tasks.task import Env, Task, forward, refuse_frozen

Images = dict[str, jax.Array]


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/deeplens_depth.py.

  Raises:
    ValueError: a frame that the network cannot take, or a predictor.
  """
  refuse_frozen(env, config.task)
  check_frame(config.data)
  model = depthnet.network(config.model, axis_name=env.axis_name)
  render = env.map_examples(lambda record: render_example(record, pad=config.data.pad))

  def loss(variables, frozen, inputs, key, step):
    del frozen, step
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, inputs['index'])
    outputs, state = forward(model, variables, inputs['image'], True, keys)
    return terms(outputs, inputs, **config.loss), state

  return Task(
    init=lambda key, inputs: model.init(key, inputs['image'], True),
    apply=lambda variables, inputs: model.apply(variables, inputs['image'], False),
    inputs=lambda frozen, records: render(records),
    loss=loss,
    metrics=metrics,
    pictures=pictures,
  )


def check_frame(data: Any) -> None:
  """Refuses a frame that the network cannot take.

  Raises:
    ValueError: its height or width is not a multiple of 8.
  """
  for name in ('height', 'width'):
    if data[name] % depthnet.STRIDE:
      raise ValueError(f'data.{name} is {data[name]}; it must be a multiple of {depthnet.STRIDE}')


def render_example(record: Images, *, pad: int) -> Images:
  """One drawn record as the network's input and both its targets.

  Returns `image` [h w 3] sRGB all in focus, `disparity` [h w 1] normalised, `foreground` [h w 1],
  1 where layers before the background cover more than half of a pixel, and `index` [].
  """
  light, alpha = (layers.crop(x, pad) for x in layers.unpack(record['layers']))
  planes = layers.plane_disparity(record['planes'], *alpha.shape[1:])
  disparity = layers.front_disparity(planes, (alpha > 0.5).astype(jnp.float32))
  covered = 1 - jnp.prod(1 - alpha[:-1], axis=0)
  image = layers.composite(light, alpha)
  return {
    'image': colour.linear_to_srgb(jnp.clip(image, 0, 1)),
    'disparity': disparity_lib.normalise(disparity),
    'foreground': (covered > 0.5).astype(jnp.float32)[..., None],
    'index': record['index'],
  }


def terms(outputs: Images, inputs: Images, *, segmentation: float, mixed: bool) -> Images:
  """The two terms of eq. 1 for each example [b]: L1 of normalised disparity and of the foreground.

  With `mixed` even examples have the first alone and odd ones the second, twice as heavy: what the
  terms' means over a batch would be if each were taken over its own half. `segmentation` is gamma.
  A network without that head learns disparity from all examples.
  """
  depth = losses.l1(disparity_lib.normalise(outputs['disparity']), inputs['disparity'])
  if 'segmentation' not in outputs:
    return {'depth': depth}
  foreground = segmentation * losses.l1(outputs['segmentation'], inputs['foreground'])
  if mixed:
    even = inputs['index'] % 2 == 0
    depth = jnp.where(even, 2 * depth, 0)
    foreground = jnp.where(even, 0, 2 * foreground)
  return {'depth': depth, 'segmentation': foreground}


def metrics(outputs: Images, inputs: Images) -> Images:
  """Of each example [b]: mean absolute errors of disparity, IoU of the foreground if predicted.

  `mae_spline` is the paper's, of the prediction mapped by the best spline; `mae` of the normalised
  prediction as it is.
  """
  prediction = disparity_lib.normalise(outputs['disparity'])
  scores = {
    'mae_spline': metrics_lib.mae_spline(prediction, inputs['disparity']),
    'mae': image_metrics.mae(prediction, inputs['disparity']),
  }
  if 'segmentation' in outputs:
    scores['iou'] = metrics_lib.iou(outputs['segmentation'], inputs['foreground'])
  return scores


def pictures(outputs: Images, inputs: Images) -> Images:
  """Photograph, disparity predicted and true, foreground predicted and true, side by side."""
  row = [disparity_lib.normalise(outputs['disparity']), inputs['disparity']]
  if 'segmentation' in outputs:
    row += [outputs['segmentation'], inputs['foreground']]
  row = [jnp.broadcast_to(x, inputs['image'].shape) for x in row]
  return {'depth': jnp.concatenate([inputs['image'], *row], axis=2)}
