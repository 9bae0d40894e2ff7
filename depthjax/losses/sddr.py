"""Losses of self-distilled depth refinement (SDDR, NeurIPS 2024): one number an example [b].

Maps are disparity [b h w 1] up to scale and offset; masks {0, 1} of the same shape say what counts.
An example without any such pixel has loss 0.
"""

import jax
import jax.numpy as jnp

from depthjax.ops import alignment, gradients, quantiles

_AXES = (1, 2, 3)
_SCALES = 4


def affine_invariant(prediction, target, valid, *, smoothness=0.5):
  """L_gt: the affine-invariant loss of MiDaS, mean absolute error and gradients of its residual.

  Both maps are brought to median 0 and mean absolute deviation 1 over the pixels that count. The
  gradients are differences of neighbours at strides 1, 2, 4 and 8.

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
  """L_grad (eq. 7): L1 between gradients, aligned by least squares in each region of edges.

  Scale and offset of a region are constants as far as the derivative is concerned.

  Args:
    prediction: disparity [b h w 1]; its Sobel L1 gradient is compared.
    label: the pseudo-label, a gradient [b h w 1].
    regions: masks {0, 1} [b h w n] that do not overlap.
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
  """L_fusion (eq. 9): weights of the high stream are large at edges and small where all is flat.

  At each level n the pixels whose label is below its quantile n a should have weights below theirs,
  those above the quantile 1 - n a weights above theirs. Quantiles are constants for the derivative.

  Args:
    omega: weights of the high stream [b h w 1].
    label: gradients of the same size.
    fraction: a.
    levels: how many, N_w.
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
  """x less its median, over its mean absolute deviation, where valid."""
  kept = valid > 0
  middle = quantiles.quantile(x, 0.5, kept)
  # The pixel at the median passes the gradient on.
  distance = jnp.where(kept, jnp.abs(x - middle), jnp.inf).reshape(len(x), -1)
  at = jax.lax.stop_gradient(distance).argmin(-1)
  middle = jnp.take_along_axis(x.reshape(len(x), -1), at[:, None], 1)[..., None, None]
  count = jnp.maximum(valid.sum(_AXES, keepdims=True), 1)
  deviation = (valid * jnp.abs(x - middle)).sum(_AXES, keepdims=True) / count
  return (x - middle) / jnp.maximum(deviation, 1e-6)


def _differences(x, valid):
  """Sum of absolute differences of neighbours that both count, over the number that count."""
  total = 0.0
  for axis in (1, 2):
    n = x.shape[axis]
    first, second = (
      [jax.lax.slice_in_dim(z, start, start + n - 1, axis=axis) for z in (x, valid)]
      for start in (0, 1)
    )
    total += (jnp.abs(second[0] - first[0]) * first[1] * second[1]).sum(_AXES)
  return total / jnp.maximum(valid.sum(_AXES), 1)
