"""Losses of mask-guided layered refinement (Kim et al., CVPR 2022): one value per example [b].

Maps are disparity [b h w 1] in [0, 1]. The paper's losses are not known in detail: these are L1, L2
and gradients at several scales, the last as Yin et al. (LeReS, CVPR 2021) train with.
"""

import jax.numpy as jnp

from depthjax.ops import filters

_AXES = (1, 2, 3)
_SCALES = 4
_STEP = 2  # Pixels between the two of a difference.


def band(mask, radius):
  """1 within `radius` pixels of the border of a mask that is above or below one half: [b h w 1]."""
  return filters.span((mask > 0.5) * 1.0, 2 * radius + 1)


def layer(prediction, target, valid, weight, *, gradient):
  """Error of one complete layer: weighted means of |e| and e², and its gradients.

  Args:
    valid: 1 where the target is known.
    weight: of each pixel, positive.
    gradient: weight of `gradients`.
  """
  error, weight = (prediction - target) * valid, weight * valid
  total = jnp.maximum(weight.sum(_AXES), 1)
  values = (weight * (jnp.abs(error) + error**2)).sum(_AXES) / total
  return values + gradient * gradients(error, valid)


def composite(prediction, target, valid, *, gradient):
  """Mean |e| of two layers composited by their mask, and the gradients of this error."""
  error = (prediction - target) * valid
  values = jnp.abs(error).sum(_AXES) / jnp.maximum(valid.sum(_AXES), 1)
  return values + gradient * gradients(error, valid)


def gradients(error, valid):
  """Absolute differences of pixels two apart, over the valid pairs, summed over four scales.

  Scale k has every 2^k-th pixel.
  """
  total = 0.0
  for k in range(_SCALES):
    e, v = (x[:, :: 2**k, :: 2**k] for x in (error, valid))
    pairs = [
      (e[:, _STEP:] - e[:, :-_STEP], v[:, _STEP:] * v[:, :-_STEP]),
      (e[:, :, _STEP:] - e[:, :, :-_STEP], v[:, :, _STEP:] * v[:, :, :-_STEP]),
    ]
    count = sum(both.sum(_AXES) for _, both in pairs)
    total += sum((jnp.abs(x) * both).sum(_AXES) for x, both in pairs) / jnp.maximum(count, 1)
  return total
