"""Blocks that several networks share. Shapes: b batch, h w height and width, c channels."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

Dtype = Any


class BatchNorm(nn.Module):
  """Batch normalisation with the momentum and epsilon of DeepLens: [b h w c] -> [b h w c].

  `axis_name` averages the statistics over that axis of a pmap; under jit over a mesh the batch is
  one array and its statistics are global already.
  """

  momentum: float = 0.99
  dtype: Dtype = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    return nn.BatchNorm(
      use_running_average=not train,
      momentum=self.momentum,
      epsilon=1e-5,
      dtype=self.dtype,
      axis_name=self.axis_name,
      # E[x²] - E[x]² cancels badly where a feature's mean is far from 0.
      use_fast_variance=False,
      name='norm',
    )(x)


class ConvNorm(nn.Module):
  """Convolution without bias, batch norm, activation: [b h w c] -> [b h/s w/s width]."""

  width: int
  kernel: int = 3
  stride: int = 1
  act: Callable[[jax.Array], jax.Array] = nn.relu
  norm: Callable[..., nn.Module] = BatchNorm
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    x = nn.Conv(
      self.width,
      (self.kernel, self.kernel),
      (self.stride, self.stride),
      use_bias=False,
      kernel_init=nn.initializers.xavier_uniform(),
      dtype=self.dtype,
      name='conv',
    )(x)
    return self.act(self.norm(name='bn')(x, train))


class Bottleneck(nn.Module):
  """Residual bottleneck 1x1, 3x3, 1x1 with the stride on the last: [b h w c] -> [b h/s w/s width].

  The shortcut is projected, with norm and ReLU before the sum, where width or stride change.
  """

  width: int
  middle: int = 64
  stride: int = 1
  norm: Callable[..., nn.Module] = BatchNorm
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    def conv(width, kernel, name, stride=1, act=nn.relu):
      return ConvNorm(width, kernel, stride, act, norm=self.norm, dtype=self.dtype, name=name)

    y = conv(self.middle, 1, 'reduce')(x, train)
    y = conv(self.middle, 3, 'conv')(y, train)
    y = conv(self.width, 1, 'expand', self.stride, act=_identity)(y, train)
    if x.shape[-1] != self.width or self.stride != 1:
      x = conv(self.width, 1, 'project', self.stride)(x, train)
    return nn.relu(x + y)


class SymmetricConv(nn.Module):
  """Stride-1 convolution with bias over a mirrored border: [b h w c] -> [b h w width].

  Zero padding would darken the border of a blurred photograph; the mirror repeats its edge pixel.
  """

  width: int
  kernel: int
  kernel_init: Callable[..., jax.Array] = nn.initializers.xavier_uniform()
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    border = self.kernel // 2
    x = jnp.pad(x, ((0, 0), (border, border), (border, border), (0, 0)), mode='symmetric')
    return nn.Conv(
      self.width,
      (self.kernel, self.kernel),
      padding='VALID',
      kernel_init=self.kernel_init,
      dtype=self.dtype,
      name='conv',
    )(x)


def resize(x: jax.Array, shape: tuple[int, int]) -> jax.Array:
  """Bilinear, half-pixel centres, no antialiasing: [b h w c] -> [b *shape c]."""
  if x.shape[1:3] == tuple(shape):
    return x
  shape = (x.shape[0], *shape, x.shape[3])
  return jax.image.resize(x, shape, method='bilinear', antialias=False)


def _identity(x: jax.Array) -> jax.Array:
  return x
