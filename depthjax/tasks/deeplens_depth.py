"""Depth prediction: normalised disparity of an image, and its foreground mask for sharp edges.

The paper mixes examples of a depth and of a segmentation data set in every batch. A scene has both
targets; the parity of its index selects one of them (DeepLens, sections 3.1 and 4.2, eq. 1).
"""

import jax
import jax.numpy as jnp
import ml_collections

from depthjax.losses import image as losses
from depthjax.metrics import depth as metrics_lib
from depthjax.metrics import image as image_metrics
from depthjax.models.deeplens import depthnet
from depthjax.ops import disparity as disparity_lib
from depthjax.ops import layers
from depthjax.tasks import scene
from depthjax.tasks.task import Env, Task, forward

Images = dict[str, jax.Array]


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/deeplens_depth.py.

  Raises:
    ValueError: unsupported frame size.
  """
  scene.check_frame(config.data, depthnet.STRIDE)
  model = depthnet.network(config.model, axis_name=env.axis_name)
  geometry = scene.geometry(config.data)
  render = env.map_examples(lambda record: render_example(record, geometry))

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


def render_example(record: Images, geometry: scene.Geometry) -> Images:
  """The network's input and two targets for one record.

  Returns:
    image: sRGB [h w 3], all in focus.
    disparity: normalised to [0, 1], [h w 1].
    foreground: mask [h w 1], 1 where all layers before the background cover more than 0.5 together.
    index: index of the record [].
  """
  drawn = scene.unpack(record, geometry)
  alpha = layers.crop(drawn.alpha, drawn.pad)
  covered = 1 - jnp.prod(1 - alpha[:-1], axis=0)
  seen = scene.appearance(drawn)
  return {
    'image': scene.encode(seen.image),
    'disparity': disparity_lib.normalise(seen.disparity),
    'foreground': (covered > 0.5).astype(jnp.float32)[..., None],
    'index': record['index'],
  }


def terms(outputs: Images, inputs: Images, *, segmentation: float, mixed: bool) -> Images:
  """The two terms of eq. 1 for each example [b]: L1 of normalised disparity and of the foreground.

  `segmentation` is the weight gamma of the second term. With `mixed`, examples of even index have
  only the first term and the others only the second, each with weight 2, so that a batch's mean of
  a term is its mean over its half. Networks without a segmentation head have the first term only.
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
  """Scores of each example [b]: mean absolute errors of disparity, and IoU of the foreground.

  `mae` is that of the normalised prediction, `mae_spline` (the paper's) that after mapping it by
  the best-fitting spline. Networks without a segmentation head have no `iou`.
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
  """Image, predicted and true disparity, predicted and true foreground, side by side."""
  row = [disparity_lib.normalise(outputs['disparity']), inputs['disparity']]
  if 'segmentation' in outputs:
    row += [outputs['segmentation'], inputs['foreground']]
  row = [jnp.broadcast_to(x, inputs['image'].shape) for x in row]
  return {'depth': jnp.concatenate([inputs['image'], *row], axis=2)}
