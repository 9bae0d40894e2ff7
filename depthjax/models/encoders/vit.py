"""Vision transformer (Dosovitskiy et al., ICLR 2021), with the changes of DINOv2 as options.

Shapes: b batch, h w the image's rows and columns, n tokens, c channels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers, upsampling
from depthjax.models.convolution import Conv

_EPSILON = 1e-6
_init = nn.initializers.truncated_normal(0.02)
# Positions for another grid of patches, from those stored: the published networks' interpolations.
_POSITIONS = {'bilinear': layers.resize, 'bicubic': upsampling.bicubic}


class Features(NamedTuple):
  """The tokens after a block, as a map and the class token."""

  patches: jax.Array  # [b h/patch w/patch c]
  cls: jax.Array  # [b c]


class ViT(nn.Module):
  """Features of an image [b h w 3] after the blocks `taps`, counted from 0."""

  patch: int
  width: int
  heads: int
  taps: Sequence[int]  # Ascending; blocks after the last do not exist.
  grid: int  # The stored positions are those of grid x grid patches.
  positions: str = 'bicubic'  # Their interpolation, 'bicubic' or 'bilinear'.
  layer_scale: bool = True  # A factor for each channel of each branch.
  final_norm: bool = True  # Normalise all features by one shared norm.
  remat: bool = False  # Recomputes each block in the backward pass.
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, image: jax.Array) -> list[Features]:
    b, h, w, _ = image.shape
    if h % self.patch or w % self.patch or not h * w:
      raise ValueError(f'the image is {h} x {w}; both must be multiples of {self.patch}')
    embed = Conv(self.width, self.patch, self.patch, 'VALID', dtype=self.dtype, name='patch_embed')
    x = embed(image)
    shape = x.shape[1:3]
    cls = self.param('cls_token', nn.initializers.zeros, (1, 1, self.width))
    table = self.param('pos_embed', _init, (1, 1 + self.grid**2, self.width))
    tokens = jnp.concatenate([jnp.broadcast_to(cls, (b, 1, self.width)), _flat(x)], axis=1)
    x = (tokens + self._positions(table, shape)).astype(self.dtype)
    block = nn.remat(Block) if self.remat else Block
    norm = layers.layer_norm(_EPSILON, self.dtype, 'norm') if self.final_norm else lambda x: x
    features = []
    for i in range(self.taps[-1] + 1):
      x = block(self.heads, self.layer_scale, dtype=self.dtype, name=f'block{i}')(x)
      if i in self.taps:
        y = norm(x)
        features.append(Features(y[:, 1:].reshape(b, *shape, self.width), y[:, 0]))
    return features

  def _positions(self, table: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """The position of each token, for shape[0] x shape[1] patches: [1 n c]."""
    stored = table[:, 1:].reshape(1, self.grid, self.grid, self.width)
    return jnp.concatenate([table[:, :1], _flat(_POSITIONS[self.positions](stored, shape))], axis=1)


class Block(nn.Module):
  """Self-attention and a feed-forward branch, each added to its input: [b n c] -> [b n c]."""

  heads: int
  layer_scale: bool
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    b, n, c = x.shape
    y = layers.layer_norm(_EPSILON, self.dtype, 'norm1')(x)
    q, k, v = jnp.split(self._dense(3 * c, 'qkv')(y).reshape(b, n, 3 * self.heads, -1), 3, axis=2)
    y = self._dense(c, 'proj')(layers.attend(q, k, v).reshape(b, n, c))
    x = x + self._scaled(y, 'scale1')
    y = self._dense(4 * c, 'fc1')(layers.layer_norm(_EPSILON, self.dtype, 'norm2')(x))
    y = self._dense(c, 'fc2')(nn.gelu(y, approximate=False))
    return x + self._scaled(y, 'scale2')

  def _dense(self, width: int, name: str) -> nn.Dense:
    return nn.Dense(width, kernel_init=_init, dtype=self.dtype, name=name)

  def _scaled(self, x: jax.Array, name: str) -> jax.Array:
    if not self.layer_scale:
      return x
    return x * self.param(name, nn.initializers.ones, x.shape[-1:]).astype(self.dtype)


def _flat(x: jax.Array) -> jax.Array:
  """[b h w c] -> [b h*w c]."""
  return x.reshape(x.shape[0], -1, x.shape[-1])
