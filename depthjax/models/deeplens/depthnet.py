"""The depth net of DeepLens (Wang et al., SIGGRAPH Asia 2018, section 3.1): disparity of a photo.

A ResNet-50 encoder to an eighth of the size, four-level pyramid pooling, a decoder of three x2
upsamplings with two skip connections, and a head of three convolutions for disparity. A second head
predicts the foreground in training, which sharpens the edges of the disparity.

Shapes: b batch, h w the photograph's rows and columns, multiples of 8.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.encoders.resnet import ResNet50
from depthjax.models.predictors.predictor import IMAGENET

# Whether there is a segmentation head: the released graph has none.
PRESETS = {'paper': True, 'release': False}
BINS = (1, 2, 4, 8)
# The photograph's size divided by that of the coarsest features.
STRIDE = 8
SIZE = 320  # Input size in the training of the paper, px.
_DROPOUT = 0.05

_leaky = functools.partial(nn.leaky_relu, negative_slope=0.2)


class DepthNet(nn.Module):
  """Disparity of photographs [b h w 3], sRGB in [0, 1].

  Returns `disparity` [b h w 1] up to scale and offset (ops.disparity.normalise maps it to [0, 1])
  and, with the preset 'paper', `segmentation` [b h w 1], the foreground's probability.

  The input 'centred' subtracts 0.5, as the release; 'imagenet' normalises by ImageNet's statistics,
  for published encoders.
  """

  preset: str = 'release'  # As in PRESETS.
  width: int = 64  # Channels of conv1 and of the decoder, even, 64 in the paper; scales all others.
  input: str = 'centred'
  stride_on: str = 'last'  # As in ResNet50.
  momentum: float = 0.99  # This, `renorm` and `axis_name` are as in layers.BatchNorm.
  renorm: bool = True
  remat: bool = False  # Recomputes the bottlenecks in the backward pass.
  dtype: layers.Dtype = jnp.float32  # Of the convolutions; the results are float32.
  axis_name: str | None = None

  def setup(self):
    for name, values in (('preset', PRESETS), ('input', ('centred', 'imagenet'))):
      if getattr(self, name) not in values:
        raise ValueError(f'{name} is {getattr(self, name)!r}; it can be {" or ".join(values)}')
    if self.width < 2 or self.width % 2:
      raise ValueError(f'width is {self.width}; it must be even and at least 2')
    statistics = self.momentum, self.renorm, self.dtype, self.axis_name
    norm = functools.partial(layers.BatchNorm, *statistics)
    shared = {'norm': norm, 'dtype': self.dtype}
    self.encoder = ResNet50(self.width, self.stride_on, remat=self.remat, **shared)
    self.decoder = Decoder(self.width, **shared)
    self.depth_head = Head(self.width, **shared)
    if PRESETS[self.preset]:
      self.segmentation_head = Head(self.width, **shared)

  def __call__(
    self, image: jax.Array, train: bool, keys: jax.Array | None = None
  ) -> dict[str, jax.Array]:
    """The outputs above; `keys` [b] are the examples' dropout keys, None for no dropout.

    Raises:
      ValueError: the height or width is not a multiple of 8.
    """
    h, w = image.shape[1:3]
    if h % STRIDE or w % STRIDE:
      raise ValueError(f'the image is {h} x {w}; height and width must be multiples of {STRIDE}')
    features = self.encoder(_normalise(image, self.input), train)
    x = self.decoder(features, (h, w), train)
    outputs = {'disparity': self.depth_head(x, train, keys)}
    if PRESETS[self.preset]:
      keys = None if keys is None else jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
      outputs['segmentation'] = nn.sigmoid(self.segmentation_head(x, train, keys))
    return outputs

  def predict(self, image: jax.Array) -> jax.Array:
    """The disparity alone, in evaluation: [b h w 1]."""
    return self(image, False)['disparity']


def network(fields: Mapping[str, Any], *, axis_name: str | None = None) -> DepthNet:
  """The network of a config's `model` fields."""
  return DepthNet(**layers.module_fields(fields), axis_name=axis_name)


class Decoder(nn.Module):
  """Pyramid pooling and three x2 upsamplings: the encoder's features -> [b *shape width].

  The pyramid has 1, 2, 4 and 8 bins along each axis.
  """

  width: int = 64
  norm: Callable[..., nn.Module] = layers.BatchNorm
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, features: dict[str, jax.Array], shape: tuple[int, int], train: bool
  ) -> jax.Array:
    conv = functools.partial(layers.ConvNorm, act=_leaky, norm=self.norm, dtype=self.dtype)
    x = conv(4 * self.width, 1, name='reduce')(features['res4'], train)
    maps = [x]
    for bins in BINS:
      pooled = conv(self.width // 2, 1, name=f'pool{bins}')(pool(x, bins), train)
      maps.append(layers.resize(pooled, x.shape[1:3]))
    x = conv(self.width, name='merge')(jnp.concatenate(maps, axis=-1), train)
    for name in ('res2', 'conv1'):
      skip = conv(self.width, name=f'skip_{name}')(features[name], train)
      x = jnp.concatenate([layers.resize(x, skip.shape[1:3]), skip], axis=-1)
      x = conv(self.width, name=f'up_{name}')(x, train)
    return layers.resize(x, shape)


class Head(nn.Module):
  """A residual pair of 3x3 convolutions, dropout and a 1x1: [b h w width] -> [b h w 1] float32."""

  width: int = 64
  norm: Callable[..., nn.Module] = layers.BatchNorm
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool, keys: jax.Array | None) -> jax.Array:
    conv = functools.partial(layers.ConvNorm, self.width, norm=self.norm, dtype=self.dtype)
    y = conv(act=_leaky, name='conv0')(x, train)
    y = _leaky(x + conv(act=jax.nn.identity, name='conv1')(y, train))
    if train and keys is not None:
      y = layers.dropout(keys, y, _DROPOUT)
    init = nn.initializers.xavier_uniform()
    last = nn.Conv(1, (1, 1), kernel_init=init, dtype=self.dtype, name='out')
    return last(y).astype(jnp.float32)


def pool(x: jax.Array, bins: int) -> jax.Array:
  """Means over a grid of bins, for any h and w: [b h w c] -> [b bins bins c].

  Bin i of n covers the rows from floor(i h / n) to ceil((i + 1) h / n), as PyTorch's adaptive
  average pooling.
  """
  rows, columns = (_pooling_weights(size, bins) for size in x.shape[1:3])
  y = jnp.einsum('bhwc,ih,jw->bijc', x.astype(jnp.float32), rows, columns, precision='highest')
  return y.astype(x.dtype)


def _pooling_weights(size: int, bins: int) -> np.ndarray:
  """The matrix [bins size] of the means along one axis."""
  i, at = np.arange(bins)[:, None], np.arange(size)
  inside = (at >= i * size // bins) & (at < -(-(i + 1) * size // bins))
  return (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)


def _normalise(image: jax.Array, kind: str) -> jax.Array:
  if kind == 'centred':
    return image - 0.5
  mean, std = (np.float32(x)[None, None, None] for x in IMAGENET)
  return (image - mean) / std
