"""Blocks that several networks share. Shapes: b batch, h w height and width, c channels."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models.convolution import Conv

Dtype = Any
_EPSILON = 1e-5


class BatchNorm(nn.Module):
  """Batch normalisation with the momentum and epsilon of DeepLens: [b h w c] -> [b h w c].

  With `renorm` training sees what evaluation will see: batch renormalisation (Ioffe, "Batch
  renormalization", 2017) corrects the statistics of a batch to the running ones, by constants
  as far as the gradient is concerned. A batch of few and different scenes is a poor sample: without
  the correction its noise is part of every training step and of none in evaluation.

  `axis_name` averages the statistics over that axis of a pmap; under jit over a mesh the batch is
  one array and its statistics are global already.
  """

  momentum: float = 0.99
  renorm: bool = False
  dtype: Dtype = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    width = x.shape[-1:]
    scale = self.param('scale', nn.initializers.ones, width)
    bias = self.param('bias', nn.initializers.zeros, width)
    mean = self.variable('batch_stats', 'mean', jnp.zeros, width)
    variance = self.variable('batch_stats', 'var', jnp.ones, width)
    x = x.astype(jnp.float32)
    if not train:
      y = _standardised(x, mean.value, variance.value)
    else:
      batch_mean, batch_variance = self._statistics(x)
      y = _standardised(x, batch_mean, batch_variance)
      if self.renorm:
        ratio = jnp.sqrt((batch_variance + _EPSILON) / (variance.value + _EPSILON))
        shift = (batch_mean - mean.value) / jnp.sqrt(variance.value + _EPSILON)
        # The limits of the paper, for the time before the running statistics have settled.
        y = y * jax.lax.stop_gradient(jnp.clip(ratio, 1 / 3, 3))
        y = y + jax.lax.stop_gradient(jnp.clip(shift, -5, 5))
      if not self.is_initializing():
        mean.value += (1 - self.momentum) * (batch_mean - mean.value)
        variance.value += (1 - self.momentum) * (batch_variance - variance.value)
    return (y * scale + bias).astype(self.dtype)

  def _statistics(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and variance [c] over the batch of all devices."""

    def average(x):
      x = x.mean(axis=(0, 1, 2))
      # Variables are made outside of the pmap, where the axis has no name yet.
      local = self.axis_name is None or self.is_initializing()
      return x if local else jax.lax.pmean(x, self.axis_name)

    mean = average(x)
    # Not E[x²] - E[x]², which cancels badly where a feature's mean is far from 0.
    return mean, average((x - mean) ** 2)


def norm(
  momentum: float, renorm: bool, *, dtype: Dtype = jnp.float32, axis_name: str | None = None
) -> Callable[..., nn.Module]:
  """What makes the batch normalisation of a network from its fields."""
  return functools.partial(
    BatchNorm, momentum=momentum, renorm=renorm, dtype=dtype, axis_name=axis_name
  )


class ConvNorm(nn.Module):
  """Convolution, batch norm, activation: [b h w c] -> [b h/s w/s width].

  Zeros beyond the border are put where a stride needs them, or, with `centred`, as many on either
  side: then the centre of the kernel lies on the first pixel, as PyTorch's networks have it.
  """

  width: int
  kernel: int = 3
  stride: int = 1
  act: Callable[[jax.Array], jax.Array] = nn.relu
  dilation: int = 1
  bias: bool = False
  centred: bool = False
  norm: Callable[..., nn.Module] = BatchNorm
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    border = self.dilation * (self.kernel // 2)
    x = Conv(
      self.width,
      self.kernel,
      self.stride,
      padding=((border, border),) * 2 if self.centred else 'SAME',
      dilation=self.dilation,
      bias=self.bias,
      dtype=self.dtype,
      name='conv',
    )(x)
    return self.act(self.norm(name='bn')(x, train))


class Weights(nn.Module):
  """Weights of maps, none negative: a convolution [b h w c] -> [b h w channels], float32.

  With `initialisation` the convolution starts near zero and adds to what that gives for `place`, as
  far as it exceeds `threshold` (soft thresholding). Without one a trace of every map stays in the
  mixture:
  a sharp ghost inside a blur, a haze over what is in focus. Below it nothing is learned: a network
  should be trained without one first.
  """

  channels: int
  kernel: int
  initialisation: Callable[..., tuple[jax.Array, jax.Array]] | None
  scale: float = 1.0
  threshold: float = 0.0
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, y: jax.Array, *place) -> jax.Array:
    # Positive at first: weights that a ReLU has all cut off would never recover.
    scale, bias = (self.scale, self.scale) if self.initialisation is None else (0.1, 0.0)
    weights = Conv(
      self.channels,
      self.kernel,
      bias_init=nn.initializers.constant(bias),
      kernel_init=nn.initializers.variance_scaling(scale**2, 'fan_avg', 'uniform'),
      dtype=self.dtype,
      name='conv',
    )(y).astype(jnp.float32)
    if self.initialisation is not None:
      prior, factor = self.initialisation(*place)
      beyond = weights - jnp.clip(weights, -self.threshold, self.threshold)
      weights = prior + factor * beyond
    return nn.relu(weights)


class Bottleneck(nn.Module):
  """Residual bottleneck 1x1, 3x3, 1x1: [b h w c] -> [b h/s w/s width].

  The stride is on the last convolution, or with `stride_on='middle'` on the 3x3. The shortcut is
  projected where width or stride change, with norm and `project_act` before the sum.
  """

  width: int
  middle: int = 64
  stride: int = 1
  dilation: int = 1
  stride_on: str = 'last'
  project_act: Callable[[jax.Array], jax.Array] = nn.relu
  norm: Callable[..., nn.Module] = BatchNorm
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    if self.stride_on not in ('last', 'middle'):
      raise ValueError(f"stride_on is {self.stride_on!r}; it can be 'last' or 'middle'")

    def conv(width, kernel, name, **fields):
      return ConvNorm(width, kernel, **fields, norm=self.norm, dtype=self.dtype, name=name)

    last, middle = (self.stride, 1) if self.stride_on == 'last' else (1, self.stride)
    y = conv(self.middle, 1, 'reduce')(x, train)
    y = conv(self.middle, 3, 'conv', stride=middle, dilation=self.dilation, centred=True)(y, train)
    y = conv(self.width, 1, 'expand', stride=last, act=identity)(y, train)
    if x.shape[-1] != self.width or self.stride != 1:
      x = conv(self.width, 1, 'project', stride=self.stride, act=self.project_act)(x, train)
    return nn.relu(x + y)


class BorderConv(nn.Module):
  """Stride-1 convolution with bias over a border that goes on: [b h w c] -> [b h w width].

  Zero padding would darken the border of a blurred photograph. `border` is a mode of jnp.pad: the
  mirror 'symmetric', which repeats the edge pixel, or 'edge', which repeats nothing else; or it is
  'there' already, and the result is smaller by it. Of kernels of 3 the first two are one, and
  'symmetric' is to be preferred: the derivative of 'edge' sends pixels to other devices.
  """

  width: int
  kernel: int
  border: str = 'symmetric'
  kernel_init: Callable[..., jax.Array] = nn.initializers.xavier_uniform()
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    width = self.kernel // 2
    if self.border != 'there':
      x = jnp.pad(x, ((0, 0), (width, width), (width, width), (0, 0)), mode=self.border)
    return Conv(
      self.width,
      self.kernel,
      padding=((0, 0), (0, 0)),
      kernel_init=self.kernel_init,
      dtype=self.dtype,
      name='conv',
    )(x)


def resize(x: jax.Array, shape: tuple[int, int]) -> jax.Array:
  """Bilinear, half-pixel centres, no antialiasing: [b h w c] -> [b *shape c]."""
  h, w = x.shape[1:3]
  if tuple(shape) == (h, w):
    return x
  if tuple(shape) == (2 * h, 2 * w):
    return _doubled(x)
  shape = (x.shape[0], *shape, x.shape[3])
  return jax.image.resize(x, shape, method='bilinear', antialias=False)


def _doubled(x: jax.Array) -> jax.Array:
  """The same at twice the size, by sums of neighbours instead of products of matrices."""
  for axis in (1, 2):
    n = x.shape[axis]
    part = functools.partial(jax.lax.slice_in_dim, x, axis=axis)
    before = jnp.concatenate([part(0, 1), part(0, n - 1)], axis)
    after = jnp.concatenate([part(1, n), part(n - 1, n)], axis)
    pair = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis + 1)
    x = pair.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
  return x


def dropout(keys: jax.Array, x: jax.Array, rate: float) -> jax.Array:
  """Zeroes a share `rate` of the values of each example by its own key: [b], [b h w c].

  Not nn.Dropout, whose one key for the batch would draw other zeros on eight devices than on one.
  """
  kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, x.shape[1:]))(keys)
  return jnp.where(kept, x / (1 - rate), 0).astype(x.dtype)


def identity(x: jax.Array) -> jax.Array:
  """No activation."""
  return x


def window(
  x: jax.Array, corner: tuple[jax.Array, jax.Array], doubled: tuple[int, int]
) -> jax.Array:
  """The part from `corner` (row, column) whose double has the size `doubled` (H, W), static."""
  size = (x.shape[0], doubled[0] // 2, doubled[1] // 2, x.shape[3])
  return jax.lax.dynamic_slice(x, (0, *corner, 0), size)


def _standardised(x: jax.Array, mean: jax.Array, variance: jax.Array) -> jax.Array:
  return (x - mean) * jax.lax.rsqrt(variance + _EPSILON)
