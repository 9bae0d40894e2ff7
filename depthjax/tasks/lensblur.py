"""Learned lens blur: shallow depth of field from a photograph and a possibly wrong disparity.

The networks' inputs are the photograph and the defocus at half the size, and the photograph
(DeepLens, sections 3.2 and 4.2).
"""

import functools
from typing import Any

import jax
import ml_collections

from depthjax.losses import image as losses
from depthjax.models.deeplens import lensblur
from depthjax.tasks import dof
from depthjax.tasks.task import Env, Task, forward


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/lensblur.py.

  Raises:
    ValueError: invalid `loss.kind` or `render` fields.
  """
  if config.loss.kind not in ('normalised', 'l1'):
    raise ValueError(f"loss.kind is {config.loss.kind!r}; it can be 'normalised' or 'l1'")
  model = lensblur.network(config.model, radius=config.render.radius, axis_name=env.axis_name)

  def apply(variables, inputs):
    low, high = model.apply(variables, *_arguments(inputs), False)
    return {'low': low, 'high': high}

  def loss(variables, frozen, inputs, key, step):
    del frozen, key, step  # The loss is deterministic.
    (low, high), state = forward(model, variables, *_arguments(inputs), True)
    return terms({'low': low, 'high': high}, inputs, config.loss), state

  return Task(
    init=lambda key, inputs: model.init(key, *_arguments(inputs), True),
    apply=apply,
    inputs=dof.rendering(config, env),
    loss=loss,
    metrics=functools.partial(dof.metrics, config.render),
    pictures=dof.pictures,
  )


def terms(outputs: dof.Images, inputs: dof.Images, fields: Any) -> dof.Images:
  """The two terms of eq. 6 for each example [b]; `fields` is the config's `loss`."""
  low = _loss(outputs['low'], inputs['target_low'], fields)
  high = _loss(outputs['high'], inputs['target'], fields)
  return {'blur': low, 'upsampler': fields.upsampler * high}


def _arguments(inputs: dof.Images) -> tuple[jax.Array, jax.Array, jax.Array]:
  return inputs['image_low'], inputs['defocus_low'], inputs['image']


def _loss(prediction: jax.Array, target: jax.Array, config: Any) -> jax.Array:
  if config.kind == 'l1':
    return losses.l1(prediction, target)
  return losses.error_weighted(
    prediction, target, alpha=config.alpha, differentiate_weights=config.differentiate_weights
  )
