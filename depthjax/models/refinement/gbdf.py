"""The network of gradient-based depth map fusion (Dai et al., AAAI 2023), a baseline of SDDR.

A U-Net of ten levels whose encoder has both predictions of disparity as one batch; its skip
connections are the sums of their features.

Shapes: b batch, h w rows and columns, multiples of 2^levels, c channels.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.convolution import Conv
from depthjax.models.refinement.fusenet import Upsampling, group_norm

_GROUP = 8  # Channels of a group of the group norm.
_SLOPE = 0.01
# Side outputs: disparity at half and a quarter of the size, by decoder level; name, groups.
_SIDE_OUTPUTS = {1: ('half', 1), 2: ('quarter', 2)}
_narrow = nn.initializers.normal(0.01)


class GradientFusion(nn.Module):
  """Refined disparity of a consistent prediction `low` and a sharp one `high`, [b h w 1] in [0, 1].

  Returns `fusion` [b h w 1], disparity roughly in the range of `low`; with `side_outputs` also
  `half` [b h/2 w/2 1] and `quarter` [b h/4 w/4 1], for training; all float32. The arguments are
  those of fusenet.FuseNet; `train` and `keys` have no effect.
  """

  levels: int = 10  # At least 3.
  width: int = 8  # Channels of the first level, doubled by each.
  remat: bool = False  # Recomputes the stages in the backward pass.
  dtype: layers.Dtype = jnp.float32  # Of the computation.

  @nn.compact
  def __call__(
    self,
    low: jax.Array,
    high: jax.Array,
    train: bool = False,
    side_outputs: bool = True,
    keys: jax.Array | None = None,
  ) -> dict[str, jax.Array]:
    del train, keys
    _, h, w, _ = low.shape
    stride = 2**self.levels
    if self.levels < 3 or h % stride or w % stride:
      wrong = f'levels is {self.levels} and the maps are {h} x {w}'
      raise ValueError(f'{wrong}; at least 3, and height and width multiples of {stride}')
    # The network's own range is [-1, 1].
    low, high = (2 * x.astype(self.dtype) - 1 for x in (low, high))
    high = layers.PaddedConv(1, 5, 'edge', _narrow, dtype=self.dtype, name='grad')(high)
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
      if side_outputs and i in _SIDE_OUTPUTS:
        name, groups = _SIDE_OUTPUTS[i]
        outputs[name] = up(1, groups, dtype=self.dtype, name=f'mid_out_{name}')(x)
      last, groups = i == 0, _groups(i, self.width)
      width = 1 if last else self.width * 2 ** (i - 1)
      kernel = 5 if last else 3
      x = up(width, groups, kernel, dtype=self.dtype, name=f'decoder_{self.levels - 1 - i}')(x)
      x = x if last else nn.leaky_relu(x, _SLOPE)
    return {name: (y.astype(jnp.float32) + 1) / 2 for name, y in {'fusion': x, **outputs}.items()}


class Down(nn.Module):
  """Activation, convolution of stride 2, group norm: [b h w c] -> [b h/2 w/2 width]."""

  width: int
  groups: int
  activate: bool = True
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = nn.leaky_relu(x, _SLOPE) if self.activate else x
    # By one pixel, 'symmetric' repeats the edge: see layers.PaddedConv.
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode='symmetric')
    fields = {'kernel_init': _narrow, 'dtype': self.dtype}
    x = Conv(self.width, 3, 2, padding='VALID', name='conv', **fields)(x)
    return group_norm(self.groups, self.dtype, 'norm')(x)


def _groups(level: int, width: int) -> int:
  """Groups of the norms of a level: one for the first two, whatever their width."""
  return 1 if level < 2 else max(1, width * 2**level // _GROUP)
