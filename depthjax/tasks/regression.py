"""Direct regression: photograph, focal point and aperture in, blurred photograph out (Table 2).

The baseline of DeepLens without a depth: a pix2pix-like generator with an L1 loss, that is told
where the focus is and how wide the lens, and must find out the rest.
"""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from depthjax.losses import image as losses
from depthjax.models import layers
from depthjax.models.deeplens import regression
from depthjax.tasks import dof
from depthjax.tasks.task import Env, Task, forward

_SHARP = 0.02  # Disparity this far from the focus counts as in focus by 1/e.
_AROUND = 0.08  # What is around a pixel, likewise the next: shares of the long side.
_SPREAD = 0.03  # Of the spot that marks the focal point.


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/regression.py.

  Raises:
    ValueError: a field of `model` or `render` that cannot be.
  """
  model = _model(config.model, env.axis_name)

  def apply(variables, inputs):
    return {'high': model.apply(variables, arguments(inputs), False)}

  def loss(variables, frozen, inputs, key, step):
    del frozen, key, step  # The scenes bring all that is random.
    image, state = forward(model, variables, arguments(inputs), True)
    return {'l1': losses.l1(image, inputs['target'])}, state

  def measure(outputs, inputs):
    return dof.metrics(outputs, inputs, limit=2 * config.render.radius, band=config.render.band)

  return Task(
    init=lambda key, inputs: model.init(key, arguments(inputs), True),
    apply=apply,
    inputs=dof.rendering(config, env),
    loss=loss,
    metrics=measure,
    pictures=dof.pictures,
  )


def arguments(inputs: dof.Images) -> jax.Array:
  """What the generator sees [b h w 5]: image - 0.5, a spot at the focal point, the aperture.

  The focal point lies where most around it is in focus, by the true disparity: where a photographer
  would have tapped. No disparity is given away.
  """
  image, disparity = inputs['image'], inputs['disparity']
  spot = _spot(jnp.abs(disparity[..., 0] - inputs['focus'][:, None, None]))
  aperture = jnp.broadcast_to(inputs['aperture'][:, None, None, None], disparity.shape)
  return jnp.concatenate([image - 0.5, spot, aperture], axis=-1)


def _spot(distance: jax.Array) -> jax.Array:
  """A Gaussian amid the least values of each map: [b h w] -> [b h w 1], 1 at its middle."""
  count, h, w = distance.shape
  sharp = jnp.exp(-(((distance - distance.min(axis=(1, 2), keepdims=True)) / _SHARP) ** 2))
  rows, columns = (_near(size, _AROUND * max(h, w)) for size in (h, w))
  around = jnp.einsum('bhw,ih,jw->bij', sharp, rows, columns)
  index = jnp.argmax((sharp * around).reshape(count, -1), axis=-1)[:, None, None]
  rows, columns = jnp.arange(h)[:, None] - index // w, jnp.arange(w) - index % w
  sigma = _SPREAD * max(h, w)
  return jnp.exp(-(rows**2 + columns**2) / (2 * sigma**2))[..., None]


def _near(size: int, sigma: float) -> np.ndarray:
  """Gaussian weights of every place along an axis for every other: [size size]."""
  place = np.arange(size, dtype=np.float32)
  return np.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))


def _model(fields: Any, axis_name: str | None) -> regression.Generator:
  fields = dict(fields)
  dtype = jnp.dtype(fields.pop('dtype'))
  norm = layers.norm(fields.pop('momentum'), fields.pop('renorm'), dtype=dtype, axis_name=axis_name)
  return regression.Generator(norm=norm, dtype=dtype, **fields)
