"""Aperture supervision: a depth net trained by photographs with defocus, without depth.

Srinivasan et al., "Aperture supervision for monocular depth estimation", CVPR 2018, a baseline of
DeepLens, Tables 1 and 2. A differentiable renderer blurs the photograph by the predicted disparity;
the loss compares the result with the photograph through the real lens.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from depthjax.losses import image as losses
from depthjax.metrics import depth as depth_metrics
from depthjax.models.deeplens import depthnet
from depthjax.ops import colour, compositional, resize
from depthjax.ops import disparity as disparity_lib
from depthjax.tasks import dof, scene
from depthjax.tasks.task import Env, Task, forward


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/aperture.py.

  Raises:
    ValueError: a frame size that is no multiple of 8; invalid `render`, `loss.levels` or
      `model.long_side`.
  """
  scene.check_frame(config.data, depthnet.STRIDE)
  fields = dict(config.model)
  long_side = fields.pop('long_side') or max(config.data.height, config.data.width)
  if long_side < 0:
    raise ValueError(f'model.long_side is {long_side}; it must be at least 0')
  if config.loss.levels < 2:
    raise ValueError(f'loss.levels is {config.loss.levels}; it must be at least 2')
  model = depthnet.network(fields, axis_name=env.axis_name)
  blur = env.map_examples(_blur(config.render, config.loss.levels))
  shrink = functools.partial(_shrink, long_side=long_side)

  def blurred(outputs, inputs):
    # Not normalised by its range: focus and aperture are in the units of the scene's disparity.
    disparity = jax.nn.sigmoid(outputs['disparity'])
    disparity = resize.resample(disparity, inputs['image'].shape[1:3])
    parts = {name: inputs[name] for name in ('image', 'focus', 'aperture')}
    return {'high': blur({**parts, 'disparity': disparity}), 'disparity': disparity}

  def apply(variables, inputs):
    return blurred(model.apply(variables, shrink(inputs), False), inputs)

  def loss(variables, frozen, inputs, key, step):
    del frozen, key, step  # The loss is deterministic.
    outputs, state = forward(model, variables, shrink(inputs), True)
    return {'l1': losses.l1(blurred(outputs, inputs)['high'], inputs['target'])}, state

  return Task(
    init=lambda key, inputs: model.init(key, inputs['image'], True),
    apply=apply,
    inputs=dof.rendering(config, env),
    loss=loss,
    metrics=functools.partial(_metrics, config.render),
    pictures=_pictures,
  )


def _shrink(inputs: dof.Images, *, long_side: int) -> jax.Array:
  """The photographs at the network's input size."""
  frame = resize.frame(inputs['image'].shape[1:3], long_side, depthnet.STRIDE)
  return resize.photograph(inputs['image'], frame)


def _metrics(render: Any, outputs: dof.Images, inputs: dof.Images) -> dof.Images:
  truth = disparity_lib.normalise(inputs['disparity'])  # As in the task deeplens_depth.
  spline = depth_metrics.mae_spline(outputs['disparity'], truth)
  return {**dof.metrics(render, outputs, inputs), 'mae_spline': spline}


def _blur(render: Any, levels: int) -> Callable[[dof.Images], jax.Array]:
  """Blurs one photograph [h w 3] by its disparity [h w 1], for its scene's focus and aperture."""
  limit = 2 * render.radius

  def blur(example):
    light = compositional.composite_blur(
      colour.srgb_to_linear(example['image']),
      example['disparity'],
      focus=example['focus'],
      strength=render.steepness * limit * example['aperture'],
      limit=limit,
      levels=levels,
    )
    return scene.encode(light)

  return blur


def _pictures(outputs: dof.Images, inputs: dof.Images) -> dof.Images:
  """Photograph, disparity predicted and true, result and target, side by side."""
  maps = [jnp.broadcast_to(x['disparity'], inputs['image'].shape) for x in (outputs, inputs)]
  row = [inputs['image'], *maps, outputs['high'], inputs['target']]
  return {'aperture': jnp.concatenate(row, axis=2)}
