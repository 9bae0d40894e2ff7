"""Direct regression: photograph, focal point and aperture in, blurred photograph out (Table 2).

The baseline of DeepLens without depth: a generator like pix2pix with an L1 loss, whose inputs are
the photograph, the focal point and the aperture.
"""

import functools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from depthjax.losses import image as losses
from depthjax.models.deeplens import regression
from depthjax.tasks import dof
from depthjax.tasks.task import Env, Task, forward

_FOCUS_SCALE = 0.02  # Difference of disparity at which a pixel counts as in focus by 1/e.
# Standard deviations as fractions of the long side: of a pixel's neighbourhood, and of the spot.
_NEIGHBOURHOOD, _SPOT = 0.08, 0.03


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/regression.py.

  Raises:
    TypeError: unknown field of `model`.
    ValueError: invalid `render` fields.
  """
  model = regression.network(config.model, axis_name=env.axis_name)

  def apply(variables, inputs):
    return {'high': model.apply(variables, arguments(inputs), False)}

  def loss(variables, frozen, inputs, key, step):
    del frozen, key, step  # The loss is deterministic.
    image, state = forward(model, variables, arguments(inputs), True)
    return {'l1': losses.l1(image, inputs['target'])}, state

  return Task(
    init=lambda key, inputs: model.init(key, arguments(inputs), True),
    apply=apply,
    inputs=dof.rendering(config, env),
    loss=loss,
    metrics=functools.partial(dof.metrics, config.render),
    pictures=dof.pictures,
  )


def arguments(inputs: dof.Images) -> jax.Array:
  """The generator's input [b h w 5]: image - 0.5, a spot at the focal point, the aperture.

  The focal point is the pixel in focus, by the true disparity, with the most pixels in focus around
  it: a likely choice of a photographer. Nothing else depends on the disparity.
  """
  image, disparity = inputs['image'], inputs['disparity']
  spot = _spot(jnp.abs(disparity[..., 0] - inputs['focus'][:, None, None]))
  aperture = jnp.broadcast_to(inputs['aperture'][:, None, None, None], disparity.shape)
  return jnp.concatenate([image - 0.5, spot, aperture], axis=-1)


def _spot(distance: jax.Array) -> jax.Array:
  """A Gaussian spot where the map is smallest: [b h w] -> [b h w 1], maximum 1."""
  count, h, w = distance.shape
  sharp = jnp.exp(-(((distance - distance.min(axis=(1, 2), keepdims=True)) / _FOCUS_SCALE) ** 2))
  rows, columns = (_gaussian(size, _NEIGHBOURHOOD * max(h, w)) for size in (h, w))
  around = jnp.einsum('bhw,ih,jw->bij', sharp, rows, columns)
  index = jnp.argmax((sharp * around).reshape(count, -1), axis=-1)[:, None, None]
  rows, columns = jnp.arange(h)[:, None] - index // w, jnp.arange(w) - index % w
  sigma = _SPOT * max(h, w)
  return jnp.exp(-(rows**2 + columns**2) / (2 * sigma**2))[..., None]


def _gaussian(size: int, sigma: float) -> np.ndarray:
  """Gaussian weights between all positions along an axis: [size size]."""
  at = np.arange(size, dtype=np.float32)
  return np.exp(-((at[:, None] - at) ** 2) / (2 * sigma**2))
