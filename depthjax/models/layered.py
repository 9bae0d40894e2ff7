"""Layered depth refinement with a mask (Kim et al., CVPR 2022): the network.

One encoder and decoder is called with a mask and with its complement, and returns the disparity of
the layer that the mask shows, complete also where the mask is 0. The encoder's first stage exists
twice, for disparity and mask and for photograph and mask; the tokens of both are added.

Shapes: b batch, h w rows and columns, multiples of 32, c channels.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.convolution import Conv
from depthjax.models.encoders import mit
from depthjax.models.predictors import dpt
from depthjax.models.predictors.predictor import IMAGENET

# The maps' size divided by that of the coarsest features.
STRIDE = 32
_B3 = {'widths': mit.SIZES['b3'][0], 'depths': mit.SIZES['b3'][1]}
# Fields of Layered, by which it differs from 'small'. 'mit_b3' is the paper's network.
PRESETS = {
  'mit_b3': {**_B3, 'ratios': mit.RATIOS['mit'], 'projection': 768, 'fusion': 256},
  'pvtv2_b3': {**_B3, 'ratios': mit.RATIOS['pvtv2'], 'projection': 768, 'fusion': 256},
  'small': {},
}
_LOW_LEVEL = 64  # Channels of the feature at half of the size, and of the head.
# By the row of an interpolated pair and the tap of a 3x3 kernel on such rows: the weights of the
# row above, of the row, and of the one below.
_TAPS = (
  ((0.75, 0.25, 0), (0.25, 0.75, 0), (0, 0.75, 0.25)),
  ((0.25, 0.75, 0), (0, 0.75, 0.25), (0, 0.25, 0.75)),
)
_dense = nn.initializers.lecun_normal()
_conv = nn.initializers.xavier_uniform()


class Layered(nn.Module):
  """The two complete layers of a disparity [b h w 1], in [0, 1], near is large.

  Returns the disparity of the layer where `mask` is 1, the foreground unless the mask is one of the
  sky, and of the layer where it is 0: [b h w 1], float32, in the input's units but unbounded.
  """

  widths: Sequence[int] = mit.SIZES['b0'][0]  # This and the next two as in mit.MixTransformer.
  depths: Sequence[int] = mit.SIZES['b0'][1]
  ratios: Sequence[int] = mit.RATIOS['mit']
  projection: int = 256  # Channels between the two layers of each projection.
  fusion: int = 64  # Channels of the decoder.
  drop: float = 0.1  # As in mit.MixTransformer.
  momentum: float = 0.99  # This and `axis_name` are as in layers.BatchNorm.
  remat: bool = False  # Recomputes blocks and residual units in the backward pass.
  dtype: layers.Dtype = jnp.float32  # Of the computation.
  axis_name: str | None = None

  @nn.compact
  def __call__(
    self,
    image: jax.Array,
    disparity: jax.Array,
    mask: jax.Array,
    train: bool = False,
    keys: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array]:
    """The layers of a photograph [b h w 3], sRGB in [0, 1], with a mask [b h w 1] in [0, 1].

    `disparity` may have two channels, one for the mask and one for its complement.

    `keys` [b] are the examples' typed keys, for training with `drop`.

    Raises:
      ValueError: the height or width is not a multiple of 32.
    """
    b, h, w, _ = image.shape
    if h % STRIDE or w % STRIDE or not h * w:
      raise ValueError(f'the image is {h} x {w}; height and width must be multiples of {STRIDE}')
    mean, std = (jnp.array(x, jnp.float32) for x in IMAGENET)
    image = (image - mean) / std
    masks = layers.interleave(mask, 1 - mask)
    image = layers.interleave(image, image)
    disparity = layers.interleave(disparity[..., :1], disparity[..., -1:])
    shapes = jnp.concatenate([disparity, masks, masks], axis=-1)
    colours = jnp.concatenate([image, masks], axis=-1)
    if keys is not None:
      keys = layers.interleave(*(jax.vmap(jax.random.fold_in, (0, None))(keys, i) for i in (0, 1)))
    features = self._encoder()(shapes, keys if train and self.drop else None, colours)
    x = self._decode(features, shapes, train).reshape(b, 2, h, w, 1)
    return x[:, 0], x[:, 1]

  def _encoder(self) -> mit.MixTransformer:
    fields = {'ratios': self.ratios, 'remat': self.remat, 'dtype': self.dtype}
    return mit.MixTransformer(self.widths, self.depths, self.drop, **fields, name='backbone')

  def _decode(self, features: Sequence[jax.Array], shapes: jax.Array, train: bool) -> jax.Array:
    """The encoder's features and its first input [b h w 3] -> [b h w 1], float32."""
    widths = self.projection, self.fusion
    maps = [
      Projection(*widths, dtype=self.dtype, name=f'project{i}')(x) for i, x in enumerate(features)
    ]
    fields = {'project': False, 'resize': layers.resize, 'remat': self.remat, 'dtype': self.dtype}
    x = dpt.Decoder(self.fusion, **fields, name='decoder')(maps)
    fields = {'dtype': self.dtype, 'axis_name': self.axis_name}
    norm = functools.partial(layers.BatchNorm, self.momentum, **fields)
    fields = {'centred': True, 'norm': norm, 'dtype': self.dtype, 'name': 'low_level'}
    low = layers.ConvNorm(_LOW_LEVEL, 7, 2, **fields)(shapes, train)
    return Head(_LOW_LEVEL, self.dtype, name='head')(jnp.concatenate([x, low], axis=-1))


def network(fields: Mapping[str, Any], *, axis_name: str | None = None) -> Layered:
  """The network of a config's `model` fields: `preset`, and the attributes that differ from it.

  Raises:
    KeyError, TypeError: unknown presets or attributes.
  """
  fields = layers.module_fields({'dtype': 'float32', **fields})
  own = {name: x for name, x in fields.items() if x != ()}  # Empty: as the preset.
  return Layered(**{**PRESETS[own.pop('preset')], **own}, axis_name=axis_name)


def initial(model: Layered) -> Any:
  """Randomly initialised variables of the network."""
  maps = (jnp.zeros((1, STRIDE, STRIDE, n)) for n in (3, 1, 1))
  return model.init(jax.random.key(0), *maps)


def from_config(config: Mapping[str, Any]) -> tuple[tuple[Layered, int], Any]:
  """((network, long side of the training maps in px), shapes of its variables).

  Raises KeyError or TypeError for a config of another task.
  """
  model, data = network(config['model']), config['data']
  size = max(int(data['height']), int(data['width']))
  return (model, size), jax.eval_shape(functools.partial(initial, model))


class Projection(nn.Module):
  """A linear layer, then a 3x3 convolution with zero padding: [b h w c] -> [b h w fusion].

  Without an activation between them they are one convolution. At a quarter of the size that saves
  nine tenths of the multiply-adds.
  """

  middle: int
  fusion: int
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    h, w, c = x.shape[1:]
    matrix = self.param('linear_kernel', _dense, (c, self.middle))
    offset = self.param('linear_bias', nn.initializers.zeros, (self.middle,))
    kernel = self.param('conv_kernel', _conv, (3, 3, self.middle, self.fusion))
    bias = self.param('conv_bias', nn.initializers.zeros, (self.fusion,))
    # The zero padding is that of the second layer: at the border fewer taps add the offset.
    rows, columns = (jnp.array(_inside(size), jnp.float32) for size in (h, w))
    offset = jnp.einsum('hi,wj,ijmf,m->hwf', rows, columns, kernel, offset) + bias
    kernel = jnp.einsum('cm,ijmf->ijcf', matrix, kernel)
    return _convolution(x, kernel.astype(self.dtype)) + offset.astype(self.dtype)


class Head(nn.Module):
  """Convolutions to one channel at twice the size: [b h w c] -> [b 2h 2w 1], float32.

  Interpolation and the second convolution are one convolution, to the four pixels of a block as
  channels: the interpolated map, the largest of the network, is never stored.
  """

  width: int
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = nn.relu(Conv(self.width, 3, 1, ((1, 1), (1, 1)), dtype=self.dtype, name='conv1')(x))
    second = Conv(32, 3, 1, ((1, 1), (1, 1)), dtype=self.dtype, name='conv2')
    last = Conv(1, 1, dtype=self.dtype, name='conv3')

    def direct(x: jax.Array) -> jax.Array:
      return last(nn.relu(second(layers.resize(x, (2 * x.shape[1], 2 * x.shape[2])))))

    # At the border the pixels beyond it are copies for the interpolation, and zeros after it.
    top, bottom, left, right = (direct(y) for y in (x[:, :2], x[:, -2:], x[:, :, :2], x[:, :, -2:]))
    kernel, bias = (
      jnp.asarray(second.variables['params'][n], self.dtype) for n in ('kernel', 'bias')
    )
    taps, (b, h, w, c) = jnp.array(_TAPS, self.dtype), x.shape
    kernel = jnp.einsum('pis,qjt,ijcd->stcpqd', taps, taps, kernel).reshape(3, 3, c, -1)
    y = last(nn.relu(_convolution(x, kernel).reshape(b, h, 4 * w, -1) + bias))
    y = y.reshape(b, h, w, 2, 2).swapaxes(2, 3).reshape(b, 2 * h, 2 * w, 1)[:, 2:-2, 2:-2]
    y = jnp.concatenate([left[:, 2:-2, :2], y, right[:, 2:-2, -2:]], axis=2)
    return jnp.concatenate([top[:, :2], y, bottom[:, -2:]], axis=1).astype(jnp.float32)


def _convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
  layout = 'NHWC', 'HWIO', 'NHWC'
  return jax.lax.conv_general_dilated(x, kernel, (1, 1), 'SAME', dimension_numbers=layout)


def _inside(size: int) -> list[list[bool]]:
  """Whether each tap of a 3x3 kernel at each of the positions is within the map: [size 3]."""
  return [[0 <= at + tap < size for tap in (-1, 0, 1)] for at in range(size)]
