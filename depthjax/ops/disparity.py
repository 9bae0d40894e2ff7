"""Disparity of unknown scale and offset, brought to one range."""

import jax.numpy as jnp

from depthjax.ops import resize

# Rounding keeps a constant map from being one; a range below the first is none.
_FLAT, _EPSILON = 1e-6, 1e-7


def normalise(disparity):
  """Minimum and maximum of each image to 0 and 1; a constant map becomes zeros.

  Args:
    disparity: disparity of any range [... h w 1].

  Returns:
    Disparity [... h w 1] in [0, 1], 1 the nearest.

  Source: DeepLens (SIGGRAPH Asia 2018), section 4.1.
  """
  axes = (-3, -2, -1)
  low = disparity.min(axis=axes, keepdims=True)
  span = disparity.max(axis=axes, keepdims=True) - low
  # The epsilon keeps also the gradient of what is not taken finite.
  return jnp.where(span < _FLAT, 0.0, (disparity - low) / (span + _EPSILON))


def predict(network, image, shape):
  """Normalised disparity of photographs by a network that is shown them at a size of its own.

  What is near can be told from the whole picture, at the size that a network was trained at.

  Args:
    network: sRGB images [b *shape 3] -> disparity of any range [b *shape 1].
    image: sRGB in [0, 1], [b h w 3].
    shape: (h, w) of what the network is shown.

  Returns:
    Disparity in [0, 1], [b h w 1], as `normalise` gives it.
  """
  disparity = normalise(network(resize.photograph(image, shape)))
  # Before and after: resizing makes a constant uneven by rounding, and takes the ends off a range.
  disparity = normalise(resize.resample(disparity, image.shape[1:3]))
  return jnp.clip(disparity, 0, 1)
