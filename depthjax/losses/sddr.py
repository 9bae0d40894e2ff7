"""Losses of self-distilled depth refinement (SDDR, NeurIPS 2024): one value per example [b].

Maps are disparity [b h w 1] up to scale and shift, masks {0, 1} of the same shape. An example with
an empty mask has loss 0.
"""

import jax
import jax.numpy as jnp

from depthjax.ops import alignment, gradients, quantiles

_AXES = (1, 2, 3)
_SCALES = 4


def affine_invariant(prediction, target, valid, *, smoothness=0.5):
  """L_gt: the affine-invariant loss of MiDaS, on the residual and its gradients.

  Both maps are normalised to median 0 and mean absolute deviation 1 over valid pixels. Gradients
  are differences of neighbours at strides 1, 2, 4 and 8.

  Source: Ranftl et al., TPAMI 2020, eq. 5 to 7 and 11 (no trimming); SDDR, eq. 10.
  """
  valid = (valid > 0).astype(prediction.dtype)
  target = jnp.where(valid > 0, target, 0)
  residual = valid * (_robust(prediction, valid) - _robust(target, valid))
  count = jnp.maximum(valid.sum(_AXES), 1)
  loss = jnp.abs(residual).sum(_AXES) / (2 * count)
  for scale in range(_SCALES):
    step = 2**scale
    loss += smoothness * _differences(residual[:, ::step, ::step], valid[:, ::step, ::step])
  return loss


def gradient(prediction, label, regions):
  """L_grad (eq. 7): L1 between gradients, aligned by least squares in each edge region.

  The scale and shift of a region have no derivative.

  Args:
    prediction: disparity [b h w 1], whose Sobel magnitude is compared.
    label: pseudo-label of that gradient [b h w 1].
    regions: disjoint masks {0, 1} [b h w n].
  """
  ours = gradients.magnitude(prediction)
  error = 0.0
  for i in range(regions.shape[-1]):
    region = regions[..., i : i + 1]
    scale, offset = jax.lax.stop_gradient(alignment.fit(ours, label, region))
    difference = jnp.abs(scale * ours + offset - label) * region
    error += difference.sum(_AXES) / jnp.maximum(region.sum(_AXES), 1)
  return error / regions.shape[-1]


def fusion(omega, label, *, fraction, levels):
  """L_fusion (eq. 9): the weights of the high stream should be large at edges, small elsewhere.

  At level n, pixels whose label is below its quantile n*a should have weights below the same
  quantile of the weights, and those above 1 - n*a above it. Quantiles have no derivative.

  omega are the weights of the high stream and label the gradients, [b h w 1]; a is `fraction`.
  """
  at = jnp.arange(1, levels + 1) * fraction
  at = jnp.concatenate([at, 1 - at])
  bounds, limits = quantiles.quantile(label, at), quantiles.quantile(omega, at)
  loss = 0.0
  for n in range(levels):
    flat, edge = label < bounds[n], label > bounds[levels + n]
    loss += (flat * jnp.maximum(0, omega - limits[n])).mean(_AXES)
    loss += (edge * jnp.maximum(0, limits[levels + n] - omega)).mean(_AXES)
  return loss / levels


def _robust(x, valid):
  """x minus its median, divided by its mean absolute deviation, over valid pixels.

  The derivative of the median is that of the mean of the middle tenth of the values: its own falls
  on one pixel, which changes with rounding.
  """
  low, median, high = jnp.nan_to_num(quantiles.quantile(x, (0.45, 0.5, 0.55), valid > 0))
  near = valid * (low <= x) * (x <= high)
  middle = (near * x).sum(_AXES, keepdims=True)
  middle /= jnp.maximum(near.sum(_AXES, keepdims=True), 1)
  middle += jax.lax.stop_gradient(median - middle)
  count = jnp.maximum(valid.sum(_AXES, keepdims=True), 1)
  deviation = (valid * jnp.abs(x - middle)).sum(_AXES, keepdims=True) / count
  return (x - middle) / jnp.maximum(deviation, 1e-6)


def _differences(x, valid):
  """Sum of absolute differences of valid neighbours, divided by the number of valid pixels."""
  total = 0.0
  for axis in (1, 2):
    before, after = (
      [jax.lax.slice_in_dim(z, start, end, axis=axis) for z in (x, valid)]
      for start, end in ((0, -1), (1, None))
    )
    total += (jnp.abs(after[0] - before[0]) * before[1] * after[1]).sum(_AXES)
  return total / jnp.maximum(valid.sum(_AXES), 1)
