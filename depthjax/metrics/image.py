"""Image and edge metrics: batches [b h w c] in, `Weighted` [b] out.

All take optional weights of the pixels [b h w 1]; an example whose pixels all have weight 0 has
weight 0.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from depthjax.metrics.weighted import Weighted

# Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SSIM_K = (0.01, 0.03)

PSNR_CAP = 100.0


def mean(x, weight=None):
  """Mean [b] of values [b h w c]."""
  if weight is None:
    return Weighted(x.mean(axis=(1, 2, 3)), jnp.ones(len(x)))
  weight = jnp.broadcast_to(weight, x.shape)
  total = weight.sum(axis=(1, 2, 3))
  mean = (x * weight).sum(axis=(1, 2, 3)) / jnp.where(total > 0, total, 1)
  return Weighted(mean, (total > 0) * 1.0)


def mae(prediction, target, weight=None):
  """Mean absolute error [b] of [b h w c], in the unit of the inputs."""
  return mean(jnp.abs(prediction - target), weight)


def psnr(prediction, target, weight=None):
  """Peak signal-to-noise ratio [b] in dB of images [b h w c], peak 1, at most 100 dB.

  Both images are clipped to [0, 1] first.
  """
  error = jnp.clip(prediction, 0, 1) - jnp.clip(target, 0, 1)
  squared = mean(error**2, weight)
  decibels = -10 * jnp.log10(jnp.maximum(squared.value, 10 ** (-PSNR_CAP / 10)))
  return squared._replace(value=decibels)


def _blurred(x):
  """Gaussian filter of [b h w c] without padding: [b h-10 w-10 c]."""
  offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
  window = np.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2)
  window /= window.sum()
  h, w = x.shape[1] - SSIM_WINDOW + 1, x.shape[2] - SSIM_WINDOW + 1
  # Slices, since some accelerators compute convolutions in bfloat16.
  x = sum(float(weight) * x[:, i : i + h] for i, weight in enumerate(window))
  return sum(float(weight) * x[:, :, i : i + w] for i, weight in enumerate(window))


def ssim(prediction, target, weight=None):
  """Structural similarity [b] of images [b h w c], at most 1, mean over the channels.

  Both images are clipped to [0, 1] first. The Gaussian window (11 x 11, sigma 1.5) is not padded,
  so weights within 5 pixels of the border are ignored.

  Raises:
    ValueError: the images are smaller than the window.

  Source: Wang et al. 2004, equation 13.
  """
  if min(prediction.shape[1:3]) < SSIM_WINDOW:
    raise ValueError(f'ssim needs images of at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels')
  x, y = jnp.clip(prediction, 0, 1), jnp.clip(target, 0, 1)
  mean_x, mean_y = _blurred(x), _blurred(y)
  variances = _blurred(x * x) - mean_x**2 + _blurred(y * y) - mean_y**2
  covariance = _blurred(x * y) - mean_x * mean_y
  c1, c2 = (k**2 for k in SSIM_K)
  luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
  structure = (2 * covariance + c2) / (variances + c2)
  if weight is not None:
    border = SSIM_WINDOW // 2
    weight = weight[:, border:-border, border:-border]
  return mean(luminance * structure, weight)


def edge_band(disparity, *, radius, threshold=0.05):
  """Mask of pixels near a step of disparity: {0, 1} float32 [b h w 1].

  Args:
    disparity: disparity [b h w 1].
    radius: largest Euclidean distance to a step in pixels, static.
    threshold: difference between neighbours above which both belong to a step.
  """
  edge = jnp.zeros(disparity.shape, bool)
  for axis in (1, 2):
    step = jnp.abs(jnp.diff(disparity, axis=axis)) > threshold
    for border in ((0, 1), (1, 0)):
      edge |= jnp.pad(step, [border if i == axis else (0, 0) for i in range(4)])
  # Squared distances: the minimum along rows, then along columns.
  size, far = int(radius), float(2 * radius**2 + 1)
  squared = jnp.where(edge, 0.0, far)
  for axis in (2, 1):
    padding = [(size, size) if i == axis else (0, 0) for i in range(4)]
    padded, n = jnp.pad(squared, padding, constant_values=far), squared.shape[axis]
    for offset in range(-size, size + 1):
      shifted = lax.slice_in_dim(padded, size + offset, size + offset + n, axis=axis)
      squared = jnp.minimum(squared, shifted + offset**2)
  return (squared <= radius**2).astype(jnp.float32)
