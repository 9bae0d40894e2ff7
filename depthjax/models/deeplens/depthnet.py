"""The depth net of DeepLens (Wang et al., SIGGRAPH Asia 2018, section 3.1): disparity of a photo.

A ResNet-50 encoder at an eighth of the size, four-level pyramid pooling, a decoder of three x2
upsamplings with two skips, and a head of three convolutions for disparity. In training a second
head like it predicts the foreground, which sharpens the borders of the first.

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
from depthjax.models.predictors.predictor import Predictor

# Whether there is a segmentation head: in the paper's training, not in the released graph.
PRESETS = {'paper': True, 'release': False}
BINS = (1, 2, 4, 8)
# The coarsest features are this much smaller than the photograph.
STRIDE = 8
_DROPOUT = 0.05
# Mean and deviation of the photographs that the weights of an ImageNet encoder were trained with.
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

_leaky = functools.partial(nn.leaky_relu, negative_slope=0.2)


class DepthNet(nn.Module):
  """Disparity of photographs [b h w 3], sRGB in [0, 1].

  Returns `disparity` [b h w 1], of any range and offset (ops.disparity.normalise makes it [0, 1]),
  and with the preset 'paper' `segmentation` [b h w 1], the foreground's probability.

  Fields: `preset` as in PRESETS; `width` of conv1 and of the decoder, even, 64 in the paper, scales
  all others; `input` is 'centred' for values less 0.5, as the release, or 'imagenet' for those that
  published encoders were trained with; `stride_on` as in ResNet50; `momentum`, `renorm` and
  `axis_name` as in layers.BatchNorm; `remat` recomputes the bottlenecks in the backward pass;
  `dtype` of the convolutions, the results are float32.
  """

  preset: str = 'release'
  width: int = 64
  input: str = 'centred'
  stride_on: str = 'last'
  momentum: float = 0.99
  renorm: bool = True
  remat: bool = False
  dtype: layers.Dtype = jnp.float32
  axis_name: str | None = None

  def setup(self):
    known = {'preset': PRESETS, 'input': ('centred', 'imagenet'), 'stride_on': ('last', 'middle')}
    for name, values in known.items():
      if getattr(self, name) not in values:
        raise ValueError(f'{name} is {getattr(self, name)!r}; it can be {" or ".join(values)}')
    if self.width < 2 or self.width % 2:
      raise ValueError(f'width is {self.width}; it must be even and at least 2')
    norm = layers.norm(self.momentum, self.renorm, dtype=self.dtype, axis_name=self.axis_name)
    shared = {'norm': norm, 'dtype': self.dtype}
    self.encoder = ResNet50(self.width, self.stride_on, remat=self.remat, **shared)
    self.decoder = Decoder(self.width, **shared)
    self.depth_head = Head(self.width, **shared)
    if PRESETS[self.preset]:
      self.segmentation_head = Head(self.width, **shared)

  def __call__(
    self, image: jax.Array, train: bool, keys: jax.Array | None = None
  ) -> dict[str, jax.Array]:
    """The outputs above; `keys` [b], one an example, are those of the dropout: none without.

    Raises:
      ValueError: the height or width is not a multiple of 8.
    """
    h, w = image.shape[1:3]
    if h % STRIDE or w % STRIDE:
      raise ValueError(f'the image is {h} x {w}; height and width must be multiples of {STRIDE}')
    features = self.encoder(_centred(image, self.input), train)
    x = self.decoder(features, (h, w), train)
    outputs = {'disparity': self.depth_head(x, train, keys)}
    if PRESETS[self.preset]:
      keys = None if keys is None else jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
      outputs['segmentation'] = nn.sigmoid(self.segmentation_head(x, train, keys))
    return outputs

  def predict(self, image: jax.Array) -> jax.Array:
    """The disparity alone, in evaluation: [b h w 1]."""
    return self(image, False)['disparity']


def initial(model: DepthNet) -> Any:
  """Fresh variables of the network."""
  return model.init(jax.random.key(0), jnp.zeros((1, STRIDE, STRIDE, 3)), False)


def described(config: Mapping[str, Any]) -> tuple[Predictor, Any]:
  """The predictor that a run trains, by its config, and the shapes of its variables.

  Photographs are shown to it with the long side of the run's frames.

  Raises:
    AttributeError, KeyError, TypeError, ValueError: the config is of something else.
  """
  fields, data = config['model'], config['data']
  model = DepthNet(**{**fields, 'dtype': jnp.dtype(fields['dtype'])})
  shapes = jax.eval_shape(functools.partial(initial, model))
  size = max(int(data['height']), int(data['width']))
  return Predictor('deeplens_depth', model, size, multiple=STRIDE), shapes


class Decoder(nn.Module):
  """Pyramid pooling and three doublings, from the encoder's features to [b *shape width].

  Pooling tells each pixel what the picture is about: means over 1, 2, 4 and 8 bins a side.
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
    y = _leaky(x + conv(act=layers.identity, name='conv1')(y, train))
    if train and keys is not None:
      y = layers.dropout(keys, y, _DROPOUT)
    last = nn.Conv(
      1,
      (1, 1),
      kernel_init=nn.initializers.xavier_uniform(),
      dtype=self.dtype,
      name='out',
    )
    return last(y).astype(jnp.float32)


def pool(x: jax.Array, bins: int) -> jax.Array:
  """Means over a grid of bins: [b h w c] -> [b bins bins c], for any h and w.

  Bin i of n covers the rows floor(i h / n) to ceil((i + 1) h / n): windows that touch where n
  divides h, and otherwise share a row.
  """
  rows, columns = (_shares(size, bins) for size in x.shape[1:3])
  y = jnp.einsum('bhwc,ih,jw->bijc', x.astype(jnp.float32), rows, columns, precision='highest')
  return y.astype(x.dtype)


def _shares(size: int, bins: int) -> np.ndarray:
  """Weights [bins size] whose rows are the means over the bins."""
  i, at = np.arange(bins)[:, None], np.arange(size)
  inside = (at >= i * size // bins) & (at < -(-(i + 1) * size // bins))
  return (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)


def _centred(image: jax.Array, kind: str) -> jax.Array:
  if kind == 'centred':
    return image - 0.5
  mean, deviation = (np.float32(x)[None, None, None] for x in _IMAGENET)
  return (image - mean) / deviation
