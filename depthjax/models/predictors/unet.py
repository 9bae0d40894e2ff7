"""A small U-Net that predicts disparity, or segments, in experiments on scenes of small size.

Group norm does not depend on the batch, unlike the batch norm of the depth net: small batches of
very different scenes train it well.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.convolution import Conv

LEVELS = 5
# Height and width must be multiples of it.
STRIDE = 2 ** (LEVELS - 1)
SIZE = 64  # Input size in training, px.
_GROUPS = 4


class UNet(nn.Module):
  """Images [b h w 3] -> [b h w 1], float32 and unbounded: disparity up to scale and offset."""

  width: int = 8  # Channels at full size, a multiple of 4; each of the five levels has twice more.
  remat: bool = False  # Recomputes the levels in the backward pass.
  dtype: layers.Dtype = jnp.float32  # Of the convolutions.

  @nn.compact
  def __call__(self, image: jax.Array, train: bool = False) -> jax.Array:
    """The output; `train` changes nothing."""
    del train
    block = nn.remat(_Pair) if self.remat else _Pair
    block = functools.partial(block, dtype=self.dtype)
    x, skips = image, []
    for level in range(LEVELS):
      x = nn.max_pool(x, (2, 2), (2, 2)) if level else x
      x = block(self.width * 2**level, name=f'down{level}')(x)
      skips.append(x)
    for level in reversed(range(LEVELS - 1)):
      skip = skips[level]
      x = jnp.concatenate([layers.resize(x, skip.shape[1:3]), skip], axis=-1)
      x = block(self.width * 2**level, name=f'up{level}')(x)
    return Conv(1, 1, dtype=self.dtype, name='head')(x).astype(jnp.float32)

  def predict(self, image: jax.Array) -> jax.Array:
    """The output in evaluation: [b h w 1]."""
    return self(image)


class _Pair(nn.Module):
  """Two 3x3 convolutions with group norm: [b h w c] -> [b h w width]."""

  width: int
  dtype: layers.Dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    for i in range(2):
      x = Conv(self.width, 3, bias=False, dtype=self.dtype, name=f'conv{i}')(x)
      x = nn.relu(nn.GroupNorm(_GROUPS, dtype=self.dtype, name=f'norm{i}')(x))
    return x
