"""The loss of fine-tuning on virtual depth labels: disparity [b h w 1] -> [b].

Source: Costanzino et al., "Learning depth estimation for transparent and mirror surfaces", ICCV
2023; without a mask. It divides sums over a batch by the batch's number of pixels: that is the mean
of these terms over its examples, which have equal sizes.
"""

import jax
import jax.numpy as jnp

from depthjax.ops import alignment

_SCALES = 4
_AXES = (1, 2, 3)


def published(prediction: jax.Array, label: jax.Array) -> dict[str, jax.Array]:
  """The terms of each example [b]; the loss is their sum.

  'aligned' and 'aligned_gradient' compare after one scale and shift of the prediction by least
  squares, through which gradients flow; a constant prediction is aligned to 0. The other two pin
  the prediction to the units of the label.
  """
  scale, shift = alignment.fit(prediction, label)
  # alignment.fit gives a constant the mean of the label, the source scale and shift 0.
  varies = prediction.max(_AXES, keepdims=True) > prediction.min(_AXES, keepdims=True)
  aligned = jnp.where(varies, scale * prediction + shift, 0) - label
  error = prediction - label
  return {
    'aligned': _squared(aligned),
    'aligned_gradient': 0.5 * _gradient(aligned),
    'squared': _squared(error),
    'gradient': _gradient(error),
  }


def squared(prediction: jax.Array, label: jax.Array) -> dict[str, jax.Array]:
  """The squared error [b] alone, not of the paper: for small networks and random weights.

  The gradient terms above are absolute differences: a constant minimises them while an edge is less
  likely than not.
  """
  return {'squared': ((prediction - label) ** 2).mean(_AXES)}


# By the field `loss.terms`.
TERMS = {'published': published, 'squared': squared}


def _squared(error: jax.Array) -> jax.Array:
  return (error**2).mean(_AXES) / 2


def _gradient(error: jax.Array) -> jax.Array:
  """Absolute differences of neighbours per pixel, of every pixel to every eighth, summed."""
  total = 0.0
  for k in range(_SCALES):
    x = error[:, :: 2**k, :: 2**k]
    differences = (jnp.abs(jnp.diff(x, axis=axis)).sum(_AXES) for axis in (1, 2))
    total += sum(differences) / (x.shape[1] * x.shape[2])
  return total
