"""Disparity of unknown scale and shift, normalised to [0, 1]."""

import jax.numpy as jnp

from depthjax.ops import resize

_FLAT = 1e-6  # Ranges below this count as constant.


def normalise(disparity):
  """Maps the minimum and maximum of each map [... h w 1] to 0 and 1; constant maps become zeros.

  Source: DeepLens (SIGGRAPH Asia 2018), section 4.1.
  """
  axes = (-3, -2, -1)
  low = disparity.min(axis=axes, keepdims=True)
  span = disparity.max(axis=axes, keepdims=True) - low
  # The epsilon keeps the gradient finite where the branch is not taken.
  return jnp.where(span < _FLAT, 0.0, (disparity - low) / (span + 1e-7))


def predict(network, image, shape):
  """Normalised disparity of photographs by a network that runs at another size.

  Networks predict depth best from the complete image at the size of their training.

  Args:
    network: sRGB images [b *shape 3] -> disparity of any range [b *shape 1].
    image: sRGB in [0, 1], [b h w 3].
    shape: (h, w) of the network's input.

  Returns:
    Disparity [b h w 1], normalised by `normalise`.
  """
  disparity = normalise(network(resize.photograph(image, shape)))
  # Twice: rounding in the resampling makes a constant map uneven, and averaging narrows the range.
  disparity = normalise(resize.resample(disparity, image.shape[1:3]))
  return jnp.clip(disparity, 0, 1)
