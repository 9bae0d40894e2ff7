"""ResNeXt-101 32x8d (Xie et al., CVPR 2017), the encoder of MiDaS v2.1."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers

GROUPS = 32
DEPTHS = (3, 4, 23, 3)


class ResNeXt101(nn.Module):
  """Features of an image [b h w 3], h and w multiples of 32, at strides 4, 8, 16 and 32.

  They have 4, 8, 16 and 32 times `width` channels.
  """

  width: int = 64  # Channels of conv1; scales all others.
  depths: Sequence[int] = DEPTHS
  norm: Callable[..., nn.Module] = layers.BatchNorm
  remat: bool = False  # Recomputes each bottleneck in the backward pass.
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> list[jax.Array]:
    bottleneck = nn.remat(layers.Bottleneck, static_argnums=2) if self.remat else layers.Bottleneck
    shared = {'norm': self.norm, 'dtype': self.dtype}
    fields = {'stride_on': 'middle', 'project_act': jax.nn.identity, 'groups': GROUPS}
    block = functools.partial(bottleneck, **fields, **shared)
    x = layers.ConvNorm(self.width, 7, 2, centred=True, name='conv1', **shared)(x, train)
    x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
    features = []
    for i, depth in enumerate(self.depths):
      width = 4 * self.width * 2**i
      for j in range(depth):
        x = block(width, width, 2 if i and not j else 1, name=f'layer{i + 1}_{j}')(x, train)
      features.append(x)
    return features
