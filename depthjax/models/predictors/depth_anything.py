"""Depth Anything, versions 1 and 2 (Yang et al., CVPR 2024 and NeurIPS 2024): DINOv2 and DPT."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.encoders.vit import ViT
from depthjax.models.predictors import dpt

PATCH = 14
SIZE = 518  # Input size in training, px.


class Size(NamedTuple):
  """Widths of a published size, and the blocks whose features the decoder gets, by version."""

  width: int
  heads: int
  widths: tuple[int, ...]  # Of the four levels of the decoder.
  fusion: int
  taps: dict[int, tuple[int, ...]]


_TAPS = {1: (8, 9, 10, 11), 2: (2, 5, 8, 11)}
_LARGE_TAPS = {1: (20, 21, 22, 23), 2: (4, 11, 17, 23)}
SIZES = {
  'small': Size(384, 6, (48, 96, 192, 384), 64, _TAPS),
  'base': Size(768, 12, (96, 192, 384, 768), 128, _TAPS),
  'large': Size(1024, 16, (256, 512, 1024, 1024), 256, _LARGE_TAPS),
  # Not published: for quick tries.
  'tiny': Size(32, 2, (8, 8, 16, 16), 8, {1: (0, 1, 2, 3), 2: (0, 1, 2, 3)}),
}


class DepthAnything(nn.Module):
  """Depth of normalised images [b h w 3], height and width multiples of 14.

  Relative networks (`max_depth` 0) return disparity, at least 0, up to scale and offset; metric
  ones depth in metres up to `max_depth`.
  """

  size: str = 'small'  # As in SIZES.
  version: int = 2
  max_depth: float = 0.0
  act: Callable[[jax.Array], jax.Array] | None = None  # The last activation; None: as published.
  remat: bool = False
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, image: jax.Array, train: bool = False) -> jax.Array:
    """Disparity, or depth in metres: [b h w 1], float32; training makes no difference."""
    del train
    size, dtype = SIZES[self.size], self.dtype
    fields = {'grid': SIZE // PATCH, 'remat': self.remat, 'dtype': dtype, 'name': 'encoder'}
    encoder = ViT(PATCH, size.width, size.heads, size.taps[self.version], **fields)
    reassemble = dpt.Reassemble(size.widths, size.fusion, False, dtype, name='reassemble')
    x = dpt.Decoder(size.fusion, dtype=dtype, name='decoder')(reassemble(encoder(image)))
    act = self.act or (nn.sigmoid if self.max_depth else nn.relu)
    head = dpt.Head(size.fusion // 2, act=act, dtype=dtype, name='head')
    return head(x, image.shape[1:3]) * (self.max_depth or 1)

  def predict(self, image: jax.Array) -> jax.Array:
    """Disparity or depth."""
    return self(image)
