"""DPT-Large (Ranftl et al., "Vision transformers for dense prediction", ICCV 2021), and the parts
of its decoder that other networks share.

Shapes: b batch, h w the image's rows and columns, c channels.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers, upsampling
from depthjax.models.convolution import Conv
from depthjax.models.encoders.vit import Features, ViT

_ONE = ((1, 1), (1, 1))
PATCH, STRIDE = 16, 32
SIZE = 384  # Input size in training, px.


class DPT(nn.Module):
  """Disparity of normalised images [b h w 3], at least 0, up to scale and offset.

  Height and width are multiples of 32.
  """

  width: int = 1024
  heads: int = 16
  taps: Sequence[int] = (5, 11, 17, 23)
  widths: Sequence[int] = (256, 512, 1024, 1024)  # Of the four levels of the decoder.
  fusion: int = 256
  act: Callable[[jax.Array], jax.Array] = nn.relu  # The last activation.
  remat: bool = False
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, image: jax.Array, train: bool = False) -> jax.Array:
    """The disparity [b h w 1], float32; training makes no difference."""
    del train
    fields = {'positions': 'bilinear', 'layer_scale': False, 'final_norm': False}
    fields |= {'remat': self.remat, 'dtype': self.dtype, 'grid': SIZE // PATCH}
    encoder = ViT(PATCH, self.width, self.heads, self.taps, name='encoder', **fields)
    maps = Reassemble(self.widths, self.fusion, True, self.dtype, name='reassemble')(encoder(image))
    x = Decoder(self.fusion, dtype=self.dtype, name='decoder')(maps)
    head = Head(self.fusion // 2, act=self.act, dtype=self.dtype, name='head')
    return head(x, image.shape[1:3])

  def predict(self, image: jax.Array) -> jax.Array:
    """The disparity."""
    return self(image)


class Reassemble(nn.Module):
  """Features of a transformer -> four maps [b h' w' fusion], of strides 1/4, 1/2, 1, 2 patches."""

  widths: Sequence[int]
  fusion: int
  readout: bool  # Concatenate the class token to each patch and project both.
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, features: Sequence[Features]) -> list[jax.Array]:
    maps = []
    for i, (width, (x, cls)) in enumerate(zip(self.widths, features, strict=True)):
      if self.readout:
        cls = jnp.broadcast_to(cls[:, None, None], x.shape)
        dense = nn.Dense(x.shape[-1], dtype=self.dtype, name=f'readout{i}')
        x = nn.gelu(dense(jnp.concatenate([x, cls], axis=-1)), approximate=False)
      x = nn.Dense(width, dtype=self.dtype, name=f'project{i}')(x)
      if i < 2:
        x = Enlarge(width, 4 // 2**i, dtype=self.dtype, name=f'resample{i}')(x)
      elif i == 3:
        x = Conv(width, 3, 2, _ONE, dtype=self.dtype, name=f'resample{i}')(x)
      x = Conv(self.fusion, 3, 1, _ONE, bias=False, dtype=self.dtype, name=f'reduce{i}')(x)
      maps.append(x)
    return maps


class Enlarge(nn.Module):
  """Transposed convolution whose kernel is its stride: [b h w c] -> [b factor*h factor*w width]."""

  width: int
  factor: int
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    b, h, w, c = x.shape
    n, init = self.factor, nn.initializers.lecun_normal(in_axis=2, out_axis=3)
    kernel = self.param('kernel', init, (n, n, c, self.width)).astype(self.dtype)
    bias = self.param('bias', nn.initializers.zeros, (self.width,)).astype(self.dtype)
    y = jnp.einsum('bhwc,ijcd->bhiwjd', x, kernel).reshape(b, h * n, w * n, self.width)
    return y + bias


class Decoder(nn.Module):
  """Fuses maps [b h' w' width], finest first, each into the next finer: [b 2h' 2w' width].

  `relu_skip`: the residual units add relu(x), not x, as in MiDaS v2.1. `project`: a 1x1 convolution
  after each fusion. `remat`: the residual units are recomputed in the backward pass.
  """

  width: int
  relu_skip: bool = False
  project: bool = True
  resize: Callable[[jax.Array, tuple[int, int]], jax.Array] = upsampling.bilinear
  remat: bool = False
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, maps: Sequence[jax.Array]) -> jax.Array:
    kind = nn.remat(ResidualUnit) if self.remat else ResidualUnit
    unit = lambda i, j: kind(self.relu_skip, self.dtype, name=f'fusion{i}_unit{j}')  # noqa: E731
    last = len(maps) - 1
    x = maps[last]
    for i in range(last, -1, -1):
      if i < last:
        x = x + unit(i, 1)(maps[i])
      x = unit(i, 2)(x)
      if self.project:
        # Before the interpolation, with which it commutes: a quarter of the work.
        x = nn.Dense(self.width, dtype=self.dtype, name=f'fusion{i}_project')(x)
      h, w = (2 * n for n in x.shape[1:3])
      x = self.resize(x, maps[i - 1].shape[1:3] if i else (h, w))
    return x


class ResidualUnit(nn.Module):
  """Two 3x3 convolutions, each after a ReLU, added to their input: [b h w c] -> [b h w c]."""

  relu_skip: bool
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    y = nn.relu(x)
    x = y if self.relu_skip else x
    for name in ('conv1', 'conv2'):
      y = Conv(x.shape[-1], 3, 1, _ONE, dtype=self.dtype, name=name)(nn.relu(y))
    return x + y


class Head(nn.Module):
  """Convolutions to one channel at full size: [b h' w' c] -> [b *shape 1], float32."""

  width: int
  resize: Callable[[jax.Array, tuple[int, int]], jax.Array] = upsampling.bilinear
  act: Callable[[jax.Array], jax.Array] = nn.relu
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, shape: tuple[int, int]) -> jax.Array:
    x = Conv(self.width, 3, 1, _ONE, dtype=self.dtype, name='conv1')(x)
    x = Conv(32, 3, 1, _ONE, dtype=self.dtype, name='conv2')(self.resize(x, shape))
    x = Conv(1, 1, dtype=self.dtype, name='conv3')(nn.relu(x))
    return self.act(x.astype(jnp.float32))
