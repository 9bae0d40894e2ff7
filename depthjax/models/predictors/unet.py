"""A small U-Net that predicts disparity, for experiments on scenes of small size.

Its group norm does not depend on the batch, so small batches of very different scenes train it.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.convolution import Conv

LEVELS = 5
STRIDE = 2 ** (LEVELS - 1)  # Height and width must be multiples of it.
SIZE = 64  # Input size in training, px.
_GROUPS = 4


class UNet(nn.Module):
  """Images [b h w 3], sRGB in [0, 1], to disparity up to scale and offset [b h w 1], float32.

  Raises ValueError: the width is not a multiple of 4, or the image's sides are not of 16.
  """

  width: int = 8  # Channels at full size; each further level has twice as many.
  remat: bool = False  # Recomputes the levels in the backward pass.
  dtype: layers.Dtype = jnp.float32  # Of the convolutions.

  @nn.compact
  def __call__(self, image: jax.Array, train: bool = False) -> jax.Array:
    """The output, the same in training."""
    del train
    h, w = image.shape[1:3]
    if h % STRIDE or w % STRIDE:
      raise ValueError(f'the image is {h} x {w}; height and width must be multiples of {STRIDE}')
    if self.width < 1 or self.width % _GROUPS:
      raise ValueError(f'width is {self.width}; it must be a positive multiple of {_GROUPS}')
    block = nn.remat(_Pair) if self.remat else _Pair
    x, skips = image - 0.5, []
    for level in range(LEVELS):
      x = nn.max_pool(x, (2, 2), (2, 2)) if level else x
      x = block(self.width * 2**level, self.dtype, name=f'down{level}')(x)
      skips.append(x)
    for level in reversed(range(LEVELS - 1)):
      skip = skips[level]
      x = jnp.concatenate([layers.resize(x, skip.shape[1:3]), skip], axis=-1)
      x = block(self.width * 2**level, self.dtype, name=f'up{level}')(x)
    return Conv(1, 1, dtype=self.dtype, name='head')(x).astype(jnp.float32)

  def predict(self, image: jax.Array) -> jax.Array:
    """The output in evaluation."""
    return self(image)


def network(fields: Mapping[str, Any], *, axis_name: str | None = None) -> UNet:
  """The network of a config's `model` fields; no statistics depend on the batch's pmap axis."""
  del axis_name
  return UNet(**layers.module_fields(fields))


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
