"""MiDaS v2.1 (Ranftl et al., "Towards robust monocular depth estimation", TPAMI 2022)."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.convolution import Conv
from depthjax.models.encoders import resnext
from depthjax.models.predictors import dpt

STRIDE = 32
SIZE = 384  # Input size in training, px.


class MiDaS(nn.Module):
  """Disparity of normalised images [b h w 3], at least 0, up to scale and offset.

  Height and width are multiples of 32.
  """

  width: int = 64  # As in ResNeXt101.
  fusion: int = 256
  act: Callable[[jax.Array], jax.Array] = nn.relu  # The last activation.
  remat: bool = False
  dtype: layers.Dtype = jnp.float32
  axis_name: str | None = None  # The pmap axis that batch statistics are averaged over.

  @nn.compact
  def __call__(self, image: jax.Array, train: bool = False) -> jax.Array:
    """The disparity [b h w 1], float32."""
    h, w = image.shape[1:3]
    if h % STRIDE or w % STRIDE or not h * w:
      raise ValueError(f'the image is {h} x {w}; both must be multiples of {STRIDE}')
    norm = functools.partial(layers.BatchNorm, 0.9, False, self.dtype, self.axis_name)
    fields = {'norm': norm, 'remat': self.remat, 'dtype': self.dtype, 'name': 'encoder'}
    maps = resnext.ResNeXt101(self.width, **fields)(image, train)
    reduce = functools.partial(Conv, self.fusion, 3, padding=((1, 1), (1, 1)), bias=False)
    maps = [reduce(dtype=self.dtype, name=f'reduce{i}')(x) for i, x in enumerate(maps)]
    decoder = dpt.Decoder(self.fusion, relu_skip=True, project=False, dtype=self.dtype)
    x = decoder.copy(name='decoder')(maps)
    head = dpt.Head(self.fusion // 2, layers.resize, self.act, dtype=self.dtype, name='head')
    return head(x, (h, w))

  def predict(self, image: jax.Array) -> jax.Array:
    """The disparity, in evaluation."""
    return self(image)
