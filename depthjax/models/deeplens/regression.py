"""Direct regression of a defocused image: the image-to-image baseline of DeepLens, Table 2.

Shapes: b batch, h w height and width, c channels.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers

_leaky_relu = functools.partial(nn.leaky_relu, negative_slope=0.2)


class Generator(nn.Module):
  """The U-Net of pix2pix (Isola et al., CVPR 2017), upsampling bilinearly: [b h w c] -> [b h w 3].

  The first of `depth` levels has `width` channels (8 and 64 in pix2pix, for 256 x 256 pixels). The
  result is in [0, 1]. Sizes that are no multiple of 2^depth are padded with zeros, then cropped.
  """

  width: int = 64
  depth: int = 8
  norm: Callable[..., nn.Module] = layers.BatchNorm
  remat: bool = False
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    h, w = x.shape[1:3]
    step = 2**self.depth
    x = jnp.pad(x, ((0, 0), (0, -h % step), (0, -w % step), (0, 0)))
    module = nn.remat(layers.ConvNorm, static_argnums=2) if self.remat else layers.ConvNorm
    block = functools.partial(module, norm=self.norm, dtype=self.dtype)
    widths = [self.width * min(2**i, 8) for i in range(self.depth)]
    skips = []
    for i, width in enumerate(widths):
      skips.append(x)
      x = block(width, 4, 2, act=_leaky_relu, name=f'down{i}')(x, train)
    for i in reversed(range(self.depth)):
      x = layers.resize(x, skips[i].shape[1:3])
      x = block(widths[max(i - 1, 0)], name=f'up{i}')(x, train)
      x = jnp.concatenate([x, skips[i]], axis=-1)
    x = nn.Conv(3, (3, 3), dtype=self.dtype, name='out')(x)
    return nn.sigmoid(x.astype(jnp.float32))[:, :h, :w]


def network(fields: Mapping[str, Any], *, axis_name: str | None = None) -> Generator:
  """The network of a config's `model` fields."""
  fields = layers.module_fields(fields)
  momentum, renorm, dtype = fields.pop('momentum'), fields.pop('renorm'), fields['dtype']
  norm = functools.partial(layers.BatchNorm, momentum, renorm, dtype, axis_name)
  return Generator(**fields, norm=norm)
