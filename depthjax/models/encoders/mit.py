"""Mix Transformer (MiT), the encoder of SegFormer (Xie et al., NeurIPS 2021).

Four stages, each an overlapping patch embedding and blocks of attention with downsampled keys and
values. Shapes: b batch, h w rows and columns, n positions, c channels.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.convolution import Conv

# Widths and numbers of blocks of the published sizes.
SIZES = {
  'b0': ((32, 64, 160, 256), (2, 2, 2, 2)),
  'b1': ((64, 128, 320, 512), (2, 2, 2, 2)),
  'b2': ((64, 128, 320, 512), (3, 4, 6, 3)),
  'b3': ((64, 128, 320, 512), (3, 4, 18, 3)),
  'b4': ((64, 128, 320, 512), (3, 8, 27, 3)),
  'b5': ((64, 128, 320, 512), (3, 6, 40, 3)),
}
STRIDES = (4, 2, 2, 2)
# Widths of the stages' feed-forward branches relative to their inputs. With those of PVTv2 (Wang et
# al., CVMJ 2022; B0 to B4) the networks are otherwise the same.
RATIOS = {'mit': (4, 4, 4, 4), 'pvtv2': (8, 8, 4, 4)}
_linear = nn.initializers.truncated_normal(0.02)
_conv = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')
# Epsilons of the norms after convolutions and of the others, as in the published networks.
_CONV_EPSILON, _EPSILON = 1e-5, 1e-6


class MixTransformer(nn.Module):
  """Features of a map [b h w c] at 1/4, 1/8, 1/16 and 1/32 of its size, of `widths` channels.

  Stochastic depth: in training each residual branch of each example is dropped at random, with a
  probability that grows linearly from 0 in the first block to `drop` in the last.
  """

  widths: Sequence[int] = SIZES['b0'][0]
  depths: Sequence[int] = SIZES['b0'][1]
  drop: float = 0.1
  ratios: Sequence[int] = RATIOS['mit']  # Of the feed-forward branches' widths.
  heads: Sequence[int] = (1, 2, 5, 8)
  reductions: Sequence[int] = (8, 4, 2, 1)  # Of the rows and columns of keys and values.
  remat: bool = False  # Recomputes each block in the backward pass.
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, x: jax.Array, keys: jax.Array | None = None, second: jax.Array | None = None
  ) -> list[jax.Array]:
    """The features.

    Args:
      x: the map.
      keys: the examples' typed keys [b]; with None no branch is dropped.
      second: another map [b h w c'], with a first stage of its own, which has the same rates. Its
        tokens are added to those of `x` before the norm.
    """
    rates = np.linspace(0, self.drop, sum(self.depths)).tolist()
    features, first = [], 0
    sizes = zip(self.widths, self.depths, self.ratios, self.heads, self.reductions, strict=True)
    for i, size in enumerate(sizes):
      drops = tuple(rates[first : first + size[1]])
      stage = functools.partial(Stage, i, *size, drops, first, self.remat, self.dtype)
      own = stage()
      nn.share_scope(self, own)  # The names of its variables are those of the published weights.
      y = own(x, keys)
      if i == 0 and second is not None:
        y = y + stage(name='second')(second, _fold(keys, len(rates)))
      x = layers.layer_norm(_EPSILON, self.dtype, f'norm{i + 1}')(y)
      features.append(x)
      first += size[1]
    return features


class Stage(nn.Module):
  """A stage without its norm: patch embedding and blocks, [b h w c] -> [b h/s w/s width]."""

  index: int  # From 0; gives the stride and the names.
  width: int
  depth: int
  ratio: int
  heads: int
  reduction: int
  drops: Sequence[float]  # The blocks' probabilities to be dropped.
  first: int = 0  # The first block's number, for the keys.
  remat: bool = False
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, keys: jax.Array | None = None) -> jax.Array:
    kernel, name = (3 if self.index else 7), f'patch_embed{self.index + 1}'
    x = PatchEmbedding(self.width, kernel, STRIDES[self.index], dtype=self.dtype, name=name)(x)
    block = nn.remat(Block) if self.remat else Block
    for j in range(self.depth):
      fields = self.heads, self.reduction, self.drops[j], self.ratio, self.dtype
      name = f'block{self.index + 1}_{j}'
      x = block(*fields, name=name)(x, _fold(keys, self.first + j))
    return x


class PatchEmbedding(nn.Module):
  """Overlapping patches: a strided convolution and a norm, [b h w c] -> [b h/s w/s width]."""

  width: int
  kernel: int
  stride: int
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    padding = ((self.kernel // 2,) * 2,) * 2
    fields = {'padding': padding, 'kernel_init': _conv, 'dtype': self.dtype}
    x = Conv(self.width, self.kernel, self.stride, name='proj', **fields)(x)
    return layers.layer_norm(_CONV_EPSILON, self.dtype, 'norm')(x)


class Block(nn.Module):
  """Attention and a feed-forward branch, each added to its input: [b h w c] -> [b h w c]."""

  heads: int
  reduction: int
  drop: float
  ratio: int = 4
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
    attention = Attention(self.heads, self.reduction, dtype=self.dtype, name='attn')
    y = attention(layers.layer_norm(_EPSILON, self.dtype, 'norm1')(x))
    x = x + self._drop_branch(y, _fold(keys, 0))
    y = MixFeedForward(self.ratio, dtype=self.dtype, name='mlp')(
      layers.layer_norm(_EPSILON, self.dtype, 'norm2')(x)
    )
    return x + self._drop_branch(y, _fold(keys, 1))

  def _drop_branch(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
    if keys is None or not self.drop:
      return x
    keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - self.drop))(keys)
    return jnp.where(keep[:, None, None, None], x / (1 - self.drop), 0).astype(x.dtype)


class Attention(nn.Module):
  """Self-attention; keys and values are downsampled by `reduction` by a strided convolution."""

  heads: int
  reduction: int
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    b, h, w, c = x.shape
    q = _dense(c, self.dtype, 'q')(x).reshape(b, h * w, self.heads, -1)
    if self.reduction > 1:
      step = self.reduction
      x = Conv(c, step, step, padding='VALID', kernel_init=_conv, dtype=self.dtype, name='sr')(x)
      x = layers.layer_norm(_CONV_EPSILON, self.dtype, 'norm')(x)
    kv = _dense(2 * c, self.dtype, 'kv')(x)
    k, v = jnp.split(kv.reshape(b, -1, 2 * self.heads, c // self.heads), 2, axis=2)
    y = layers.attend(q, k, v).reshape(b, h, w, c)
    return _dense(c, self.dtype, 'proj')(y)


class MixFeedForward(nn.Module):
  """Two linear layers with a depthwise 3x3 convolution between them, which encodes positions."""

  ratio: int = 4
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    y = _dense(self.ratio * x.shape[-1], self.dtype, 'fc1')(x)
    y = Depthwise(dtype=self.dtype, name='dwconv')(y)
    return _dense(x.shape[-1], self.dtype, 'fc2')(nn.gelu(y, approximate=False))


class Depthwise(nn.Module):
  """Depthwise 3x3 convolution with zero padding.

  Computed as a sum of shifted products: the gradients of XLA's grouped convolutions are slow.
  """

  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    h, w, c = x.shape[1:]
    kernel = self.param('kernel', _conv, (3, 3, 1, c)).astype(self.dtype)
    bias = self.param('bias', nn.initializers.zeros, (c,)).astype(self.dtype)
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return bias + sum(
      x[:, i : i + h, j : j + w] * kernel[i, j, 0] for i in range(3) for j in range(3)
    )


def _dense(width: int, dtype: layers.Dtype, name: str) -> nn.Dense:
  return nn.Dense(width, kernel_init=_linear, dtype=dtype, name=name)


def _fold(keys: Any, number: int) -> Any:
  return None if keys is None else jax.vmap(jax.random.fold_in, (0, None))(keys, number)
