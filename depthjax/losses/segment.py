"""Losses of binary segmentation: logits and masks [b h w 1] -> [b]."""

import jax

_AXES = (1, 2, 3)


def bce(logits: jax.Array, target: jax.Array) -> jax.Array:
  """Binary cross-entropy in nats, the mean over pixels: log(1 + e^x) - t x."""
  return (jax.nn.softplus(logits) - target * logits).mean(_AXES)


def dice(logits: jax.Array, target: jax.Array) -> jax.Array:
  """1 - (2 sum p t + 1) / (sum p + sum t + 1) with the probability p, over pixels.

  0 for an empty mask that is predicted exactly. Source: Milletari et al., "V-Net", 3DV 2016, with
  plain sums in the denominator.
  """
  p = jax.nn.sigmoid(logits)
  both = (p * target).sum(_AXES)
  return 1 - (2 * both + 1) / ((p + target).sum(_AXES) + 1)
