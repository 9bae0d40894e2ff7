"""The refinement network of SDDR (Li et al., NeurIPS 2024): fuses two predictions of disparity.

A low and a high stream share stem and backbone; a decoder mixes their features by predicted masks.
This is the released graph, which has the paper's number of parameters and multiply-adds: eight
blocks of attention across the streams, where the text has four, and sums instead of fusion modules.

Shapes: b batch, h w rows and columns, multiples of 128, c channels, n = 2 streams (low, high).
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.convolution import Conv
from depthjax.models.encoders import mit
from depthjax.models.upsampling import double_bicubic

# The maps' size divided by that of the coarsest features.
STRIDE = 128
_GROUP = 8  # Channels of a group of the group norm.
_HEADS = 8
_EPSILON = 1e-5
_SLOPE = 0.01
# Side outputs: disparity at a quarter and half of the size, by decoder stage; name, groups.
_SIDE_OUTPUTS = {4: ('quarter', 2), 5: ('half', 1)}
_narrow = nn.initializers.normal(0.01)
_linear = nn.initializers.truncated_normal(0.02)


class FuseNet(nn.Module):
  """Refined disparity of a consistent prediction `low` and a sharp one `high`, [b h w 1] in [0, 1].

  Returns, all float32:
    fusion: [b h w 1], disparity up to scale and offset.
    mask_half, mask_quarter: [b h/2 w/2 1] and [b h/4 w/4 1] in [0, 1], the weights of the low
      features at these sizes (1 - Omega of the paper).
    half, quarter: with `side_outputs`, the disparity at these sizes, for training.
  """

  stem: Sequence[int] = (8, 16, 32)  # Channels of the stem's stages.
  widths: Sequence[int] = mit.SIZES['b0'][0]  # Channels of the backbone's stages.
  depths: Sequence[int] = mit.SIZES['b0'][1]  # Blocks of the backbone's stages.
  attention: int = 8  # Number of attention blocks across the streams.
  drop: float = 0.1  # As in mit.MixTransformer.
  remat: bool = False  # Recomputes the stages of stem and decoder in the backward pass.
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
    """`keys` [b] are the examples' typed keys, for training with `drop`.

    Raises:
      ValueError: the height or width is not a multiple of 128.
    """
    b, h, w, _ = low.shape
    if h % STRIDE or w % STRIDE:
      raise ValueError(f'the maps are {h} x {w}; height and width must be multiples of {STRIDE}')
    stage = nn.remat(StemBlock) if self.remat else StemBlock
    high = layers.PaddedConv(1, 5, 'edge', _narrow, dtype=self.dtype, name='grad')(high)
    x = layers.interleave(low.astype(self.dtype), high)
    features = []
    for i, width in enumerate(self.stem):
      x = stage(width, dtype=self.dtype, name=f'encoder_{i + 1}')(x)
      features.append(x)
    backbone = mit.MixTransformer(
      self.widths, self.depths, self.drop if train else 0.0, dtype=self.dtype, name='backbone'
    )
    if train and self.drop:
      keys = layers.interleave(*(jax.vmap(jax.random.fold_in, (0, None))(keys, i) for i in (0, 1)))
    # The input is the stem's second stage; the third is for the decoder only.
    features += backbone(features[1], keys if train and self.drop else None)
    *features, deepest = (x.reshape(b, 2, *x.shape[1:]) for x in features)
    deepest = deepest + CrossAttention(self.attention, dtype=self.dtype, name='cross')(deepest)
    pairs = [(x[:, 0], x[:, 1]) for x in features]
    decoder = Decoder((1, *self.stem, *self.widths), self.remat, dtype=self.dtype, name='decoder')
    outputs = decoder(deepest.sum(axis=1), pairs, side_outputs)
    return jax.tree.map(lambda x: x.astype(jnp.float32), outputs)


class StemBlock(nn.Module):
  """Residual block of stride 2: [b h w c] -> [b h/2 w/2 width]."""

  width: int
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    def conv(kernel, stride, name):
      padding = ((kernel // 2,) * 2,) * 2
      fields = {'padding': padding, 'kernel_init': _narrow, 'dtype': self.dtype}
      return Conv(self.width, kernel, stride, name=name, **fields)

    def norm(name):
      return group_norm(self.width // _GROUP, self.dtype, name)

    y = nn.leaky_relu(norm('bn1')(conv(3, 2, 'conv1')(x)), _SLOPE)
    y = norm('bn2')(conv(3, 1, 'conv2')(y))
    return nn.leaky_relu(y + norm('shortcut_bn')(conv(1, 2, 'shortcut')(x)), _SLOPE)


class CrossAttention(nn.Module):
  """Attention among all positions of both streams, [b n h w c] -> [b n h w c].

  After each block the released code reshapes the tokens [b (n h w) c] to [b n c h w] without a
  transpose, which mixes positions and channels. The released weights depend on it.
  """

  blocks: int
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    b, n, h, w, c = x.shape
    dense = functools.partial(nn.Dense, c, use_bias=False, kernel_init=_linear, dtype=self.dtype)
    # Depthwise 1x1 convolutions: a scale for each channel, and after the blocks also an offset.
    scale = self.param('sep_conv', _narrow, (c,)).astype(self.dtype)
    x = dense(name='sep_conv_pointwise')(x * scale)
    positions = jnp.tile(_encoding(h, w, c).reshape(h * w, c), (n, 1)).astype(self.dtype)
    for i in range(self.blocks):
      tokens = TokenBlock(dtype=self.dtype, name=f'decoder_{i}')(x.reshape(b, -1, c), positions)
      x = jnp.moveaxis(tokens.reshape(b, n, c, h, w), 2, -1)
    scale = self.param('sep_deconv', _narrow, (c,)).astype(self.dtype)
    offset = self.param('sep_deconv_bias', nn.initializers.zeros, (c,)).astype(self.dtype)
    return dense(name='sep_deconv_pointwise')(x * scale + offset)


class TokenBlock(nn.Module):
  """Transformer block over tokens [b t c] with the encoding [t c] of their positions."""

  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, positions: jax.Array) -> jax.Array:
    b, t, c = x.shape

    def dense(width, bias, name):
      return nn.Dense(width, use_bias=bias, kernel_init=_linear, dtype=self.dtype, name=name)

    def norm(name):
      return nn.LayerNorm(_EPSILON, self.dtype, use_fast_variance=False, name=name)

    y = norm('norm1')(x)
    q, k, v = (
      dense(c, False, name)(z).reshape(b, t, _HEADS, c // _HEADS)
      for name, z in (('q', y + positions), ('k', y + positions), ('v', y))
    )
    x = x + dense(c, True, 'proj')(layers.attend(q, k, v).reshape(b, t, c))
    y = nn.gelu(dense(4 * c, True, 'fc1')(norm('norm2')(x)), approximate=False)
    return x + dense(c, True, 'fc2')(y)


class Decoder(nn.Module):
  """Disparity from the sum of the deepest features [b h/128 w/128 c] and the shallower ones.

  `channels` are those of the result, of the stem's and of the backbone's stages.
  """

  channels: Sequence[int]
  remat: bool = False
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, x: jax.Array, pairs: Sequence[tuple[jax.Array, jax.Array]], side_outputs: bool
  ) -> dict[str, jax.Array]:
    *channels, deepest = self.channels
    stage = nn.remat(Upsampling) if self.remat else Upsampling
    up = functools.partial(stage, dtype=self.dtype)
    x = nn.leaky_relu(up(channels[-1], deepest // _GROUP, name='layer_0')(x), _SLOPE)
    outputs = {}
    for k, (width, (low, high)) in enumerate(zip(channels[::-1][1:], pairs[::-1], strict=True), 1):
      groups = max(1, x.shape[-1] // _GROUP)
      mask = Mask(groups, dtype=self.dtype, name=f'layer_{k}_f')(x)
      x = x + high + mask * (low - high)
      last = k == len(pairs)
      if k >= len(pairs) - 1:
        outputs['mask_half' if last else 'mask_quarter'] = mask
      if side_outputs and k in _SIDE_OUTPUTS:
        name, side_groups = _SIDE_OUTPUTS[k]
        outputs[name] = up(1, side_groups, name=f'mid_out_{name}')(x)
      # One group in the last stage but one, as in the release.
      groups = 1 if k == len(pairs) - 1 else groups
      x = up(width, groups, 5 if last else 3, name=f'layer_{k}')(x)
      x = x if last else nn.leaky_relu(x, _SLOPE)
    return {'fusion': x, **outputs}


class Upsampling(nn.Module):
  """Group norm, bicubic x2, convolution: [b h w c] -> [b 2h 2w width]."""

  width: int
  groups: int
  kernel: int = 3
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = group_norm(self.groups, self.dtype, 'norm')(x)
    x = double_bicubic(x, self.kernel // 2)
    fields = {'kernel_init': _narrow, 'dtype': self.dtype, 'name': 'conv'}
    return layers.PaddedConv(self.width, self.kernel, 'VALID', **fields)(x)


class Mask(nn.Module):
  """Group norm, convolution, sigmoid: [b h w c] -> [b h w 1], the weight of the low stream."""

  groups: int
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = group_norm(self.groups, self.dtype, 'norm')(x)
    conv = layers.PaddedConv(1, 3, kernel_init=_narrow, dtype=self.dtype, name='conv')
    return nn.sigmoid(conv(x))


def group_norm(groups: int, dtype: layers.Dtype, name: str) -> nn.GroupNorm:
  """Group norm as in PyTorch, of at least one group."""
  fields = {'epsilon': _EPSILON, 'use_fast_variance': False}
  return nn.GroupNorm(max(1, groups), dtype=dtype, name=name, **fields)


def _encoding(h: int, w: int, c: int) -> np.ndarray:
  """Sinusoidal position encoding [h w c]: rows in the first half of the channels, then columns."""
  i = np.arange(c // 2)
  frequency = 10000.0 ** -(2 * (i // 2) / (c // 2))

  def encode(size):
    angle = np.arange(1, size + 1)[:, None] * frequency
    return np.where(i % 2, np.cos(angle), np.sin(angle))

  both = (np.broadcast_to(x, (h, w, c // 2)) for x in (encode(h)[:, None], encode(w)[None]))
  return np.concatenate(list(both), axis=-1).astype(np.float32)
