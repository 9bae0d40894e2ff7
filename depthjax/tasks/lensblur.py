"""Learned lens blur: shallow depth of field from a photograph and a disparity that may be wrong.

The networks get photograph and disparity at half the size, and the photograph (DeepLens, sections
3.2 and 4.2).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from depthjax.losses import image as losses
from depthjax.models.deeplens import lensblur
from depthjax.tasks import dof
from depthjax.tasks.task import Predictor, Task


def make(
  config: ml_collections.ConfigDict,
  *,
  each: Callable,
  axis_name: str | None,
  predictor: Predictor | None = None,
) -> Task:
  """The task of a config with the fields of configs/lensblur.py.

  Raises:
    ValueError: `loss.kind` names no loss, or a field of `render` that cannot be.
  """
  if config.loss.kind not in ('normalised', 'l1'):
    raise ValueError(f"loss.kind is {config.loss.kind!r}; 'normalised' or 'l1'")
  model = model_of(config.model, radius=config.render.radius, axis_name=axis_name)

  def loss(apply, variables, inputs, key):
    del key  # The scenes bring all that is random.
    outputs, state = apply(variables, inputs, True)
    low = _loss(outputs['low'], inputs['target_low'], config.loss)
    high = _loss(outputs['high'], inputs['target'], config.loss)
    return {'blur': low, 'upsampler': config.loss.upsampler * high}, state

  def measure(outputs, inputs):
    return dof.metrics(outputs, inputs, limit=2 * config.render.radius, band=config.render.band)

  return Task(
    init=lambda key, inputs: model.init(key, *_arguments(inputs), True),
    apply=lambda variables, inputs, train: _apply(model, variables, inputs, train),
    inputs=dof.rendering(config, each, predictor),
    loss=loss,
    predict=lambda apply, variables, inputs: apply(variables, inputs, False)[0],
    metrics=measure,
    pictures=dof.pictures,
  )


def model_of(fields: Any, *, radius: int, axis_name: str | None = None) -> lensblur.LensBlur:
  """The network of a config's `model` fields, for blurs up to `radius` pixels."""
  fields = {**fields, 'radius': radius, 'dtype': jnp.dtype(fields['dtype'])}
  return lensblur.LensBlur(**fields, axis_name=axis_name)


def _arguments(inputs: dof.Images) -> tuple[jax.Array, jax.Array, jax.Array]:
  return inputs['image_low'], inputs['defocus_low'], inputs['image']


def _apply(model: Any, variables: Any, inputs: dof.Images, train: bool) -> tuple[dof.Images, Any]:
  state = {name: tree for name, tree in variables.items() if name != 'params'}
  mutable = list(state) if train else []
  (low, high), changed = model.apply(variables, *_arguments(inputs), train, mutable=mutable)
  return {'low': low, 'high': high}, {**state, **changed}


def _loss(prediction: jax.Array, target: jax.Array, config: Any) -> jax.Array:
  if config.kind == 'l1':
    return losses.l1(prediction, target)
  return losses.normalised(
    prediction,
    target,
    alpha=config.alpha,
    differentiate_weights=config.differentiate_weights,
  )
