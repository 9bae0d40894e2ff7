"""Gradient-based depth map fusion (Dai et al., AAAI 2023): the network that SDDR is compared with.

A U-Net of ten levels that two predictions of disparity go through together; its skips are sums.

Shapes: b batch, h w rows and columns, multiples of 2^levels, c channels.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.convolution import Conv
from depthjax.models.refinement.fusenet import Upsampling

_GROUP = 8  # Channels of a group.
_EPSILON = 1e-5
_SLOPE = 0.01
_narrow = nn.initializers.normal(0.01)


class GradientFusion(nn.Module):
  """Refined disparity of a consistent prediction `low` and a sharp one `high`, [b h w 1] in [0, 1].

  Returns `fusion` [b h w 1], disparity about in the range of `low`; and unless `sides` is False
  `half` [b h/2 w/2 1] and `quarter` [b h/4 w/4 1], for training. All are float32. It takes what
  sddr.FuseNet takes and has no part that differs in training.

  Fields: `width` of the first of the `levels` (at least 3), doubled by each; `remat` recomputes the
  stages in the backward pass; `dtype` of the computation. The authors train on 2048 x 2048 pixels.
  """

  levels: int = 10
  width: int = 8
  remat: bool = False
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(
    self,
    low: jax.Array,
    high: jax.Array,
    train: bool = False,
    sides: bool = True,
    keys: jax.Array | None = None,
  ) -> dict[str, jax.Array]:
    del train, keys
    _, h, w, _ = low.shape
    stride = 2**self.levels
    if self.levels < 3 or h % stride or w % stride:
      wrong = f'{self.levels} levels and maps of {h} x {w} pixels'
      raise ValueError(f'{wrong}; at least 3, and multiples of 2^levels, {stride}')
    # Inside, disparity is from -1 to 1.
    low, high = (2 * x.astype(self.dtype) - 1 for x in (low, high))
    high = layers.BorderConv(1, 5, 'edge', _narrow, dtype=self.dtype, name='grad')(high)
    x, skips = jnp.concatenate([low, high]), []
    down, up = (nn.remat(block) if self.remat else block for block in (Down, Upsampling))
    for i in range(self.levels):
      width, groups = self.width * 2**i, _groups(i, self.width)
      x = down(width, groups, activate=i > 0, dtype=self.dtype, name=f'encoder_{i}')(x)
      skips.append(sum(jnp.split(x, 2)))
    outputs, x = {}, skips[-1]
    for i in reversed(range(self.levels)):
      if i < self.levels - 1:
        x = (skips[i] + x) / 2
      if sides and i in _SIDES:
        name, groups = _SIDES[i]
        outputs[name] = up(1, groups, dtype=self.dtype, name=f'mid_out_{name}')(x)
      last, groups = i == 0, _groups(i, self.width)
      width = 1 if last else self.width * 2 ** (i - 1)
      kernel = 5 if last else 3
      x = up(width, groups, kernel, dtype=self.dtype, name=f'decoder_{self.levels - 1 - i}')(x)
      x = x if last else nn.leaky_relu(x, _SLOPE)
    return {name: (y.astype(jnp.float32) + 1) / 2 for name, y in {'fusion': x, **outputs}.items()}


# Disparity at a half and a quarter of the size, from what goes up from these levels; groups.
_SIDES = {1: ('half', 1), 2: ('quarter', 2)}


class Down(nn.Module):
  """Activation, convolution of stride 2, group norm: [b h w c] -> [b h/2 w/2 width]."""

  width: int
  groups: int
  activate: bool = True
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = nn.leaky_relu(x, _SLOPE) if self.activate else x
    # Of one pixel that is the edge again: see layers.BorderConv.
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode='symmetric')
    fields = {'kernel_init': _narrow, 'dtype': self.dtype}
    x = Conv(self.width, 3, 2, padding='VALID', name='conv', **fields)(x)
    return nn.GroupNorm(
      self.groups, epsilon=_EPSILON, dtype=self.dtype, use_fast_variance=False, name='norm'
    )(x)


def _groups(level: int, width: int) -> int:
  """One for the first two levels, whatever their width."""
  return 1 if level < 2 else max(1, width * 2**level // _GROUP)
