"""Layers that several networks use. Shapes: b batch, h w height and width, c channels."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models.convolution import Conv

Dtype = Any
_EPSILON = 1e-5


def module_fields(config: Mapping[str, Any]) -> dict[str, Any]:
  """The `model` fields of a config as attributes of a module: dtypes, and tuples for lists."""
  fields = {name: tuple(x) if isinstance(x, list) else x for name, x in config.items()}
  return {**fields, 'dtype': jnp.dtype(fields['dtype'])}


class BatchNorm(nn.Module):
  """Batch normalisation with the momentum and epsilon of DeepLens: [b h w c] -> [b h w c].

  With `renorm` the batch statistics are corrected to the running ones by factors without gradient
  (Ioffe, "Batch renormalization", 2017). Training then matches evaluation, even if a batch holds a
  few very different scenes.

  `axis_name` is the pmap axis to average the statistics over. Under jit over a mesh the batch is
  one array, and its statistics are global already.
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
    batch_mean, batch_variance = self._statistics(x) if train else (mean.value, variance.value)
    y = (x - batch_mean) * jax.lax.rsqrt(batch_variance + _EPSILON)
    if train and self.renorm:
      ratio = jnp.sqrt((batch_variance + _EPSILON) / (variance.value + _EPSILON))
      shift = (batch_mean - mean.value) / jnp.sqrt(variance.value + _EPSILON)
      # The limits of the paper: the running statistics are wrong in the first steps.
      y = y * jax.lax.stop_gradient(jnp.clip(ratio, 1 / 3, 3))
      y = y + jax.lax.stop_gradient(jnp.clip(shift, -5, 5))
    if train and not self.is_initializing():
      mean.value += (1 - self.momentum) * (batch_mean - mean.value)
      variance.value += (1 - self.momentum) * (batch_variance - variance.value)
    return (y * scale + bias).astype(self.dtype)

  def _statistics(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and variance [c] over the batch of all devices."""

    def average(x):
      x = x.mean(axis=(0, 1, 2))
      # Variables are initialised outside the pmap, where the axis is not defined.
      local = self.axis_name is None or self.is_initializing()
      return x if local else jax.lax.pmean(x, self.axis_name)

    mean = average(x)
    # Not E[x²] - E[x]², which loses precision if the mean is far from 0.
    return mean, average((x - mean) ** 2)


class ConvNorm(nn.Module):
  """Convolution, batch norm, activation: [b h w c] -> [b h/s w/s width].

  The padding is 'SAME', or with `centred` the same number of zeros on all four sides. Then the
  first output pixel is centred on the first input pixel, as in PyTorch.
  """

  width: int
  kernel: int = 3
  stride: int = 1
  act: Callable[[jax.Array], jax.Array] = nn.relu
  dilation: int = 1
  groups: int = 1  # Of channels, as in Conv.
  bias: bool = False
  centred: bool = False
  norm: Callable[..., nn.Module] = BatchNorm
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    n = self.dilation * (self.kernel // 2)
    padding = ((n, n), (n, n)) if self.centred else 'SAME'
    fields = {'dilation': self.dilation, 'groups': self.groups, 'bias': self.bias}
    fields['dtype'] = self.dtype
    x = Conv(self.width, self.kernel, self.stride, padding, name='conv', **fields)(x)
    return self.act(self.norm(name='bn')(x, train))


class Weights(nn.Module):
  """Non-negative mixing weights by a convolution: [b h w c] -> [b h w channels], float32.

  Without `prior` the weights are the convolution's output after a ReLU. With it the convolution is
  initialised near zero and its output y is a correction: ReLU(value + factor * soft(y)), where
  `prior` maps `prior_inputs` to (value, factor), and soft(y) is y shrunk towards 0 by `threshold`.
  A threshold removes small weights, which would leave faint ghosts in the image; it also removes
  their gradients, so train without one first.
  """

  channels: int
  kernel: int
  prior: Callable[..., tuple[jax.Array, jax.Array]] | None
  scale: float = 1.0
  threshold: float = 0.0
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, y: jax.Array, *prior_inputs) -> jax.Array:
    # Positive without a prior: if the ReLU returned only zeros, there would be no gradient.
    scale, bias = (self.scale, self.scale) if self.prior is None else (0.1, 0.0)
    kernel_init = nn.initializers.variance_scaling(scale**2, 'fan_avg', 'uniform')
    fields = {'kernel_init': kernel_init, 'bias_init': nn.initializers.constant(bias)}
    conv = Conv(self.channels, self.kernel, **fields, dtype=self.dtype, name='conv')
    weights = conv(y).astype(jnp.float32)
    if self.prior is not None:
      value, factor = self.prior(*prior_inputs)
      weights = value + factor * (weights - jnp.clip(weights, -self.threshold, self.threshold))
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
  groups: int = 1  # Of the 3x3 convolution.
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
    fields = {'dilation': self.dilation, 'groups': self.groups, 'centred': True}
    y = conv(self.middle, 3, 'conv', stride=middle, **fields)(y, train)
    y = conv(self.width, 1, 'expand', stride=last, act=jax.nn.identity)(y, train)
    if x.shape[-1] != self.width or self.stride != 1:
      x = conv(self.width, 1, 'project', stride=self.stride, act=self.project_act)(x, train)
    return nn.relu(x + y)


class PaddedConv(nn.Module):
  """Stride-1 convolution with bias and edge padding: [b h w c] -> [b h w width].

  Zero padding would darken the border of a photograph. `padding` is a mode of jnp.pad, or 'VALID'
  for maps that are padded already. For 3x3 kernels 'symmetric' and 'edge' pad the same values;
  'symmetric' is cheaper there: on a sharded batch the gradient of 'edge' communicates.
  """

  width: int
  kernel: int
  padding: str = 'symmetric'
  kernel_init: Callable[..., jax.Array] = nn.initializers.xavier_uniform()
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    if self.padding != 'VALID':
      n = self.kernel // 2
      x = jnp.pad(x, ((0, 0), (n, n), (n, n), (0, 0)), mode=self.padding)
    fields = {'padding': ((0, 0), (0, 0)), 'kernel_init': self.kernel_init, 'dtype': self.dtype}
    return Conv(self.width, self.kernel, name='conv', **fields)(x)


def resize(x: jax.Array, shape: tuple[int, int]) -> jax.Array:
  """Bilinear, half-pixel centres, no antialiasing, as networks resize: [b h w c] -> [b *shape c].

  Photographs and depth maps are resized by ops.resize, with antialiasing.
  """
  h, w = x.shape[1:3]
  if tuple(shape) == (h, w):
    return x
  if tuple(shape) == (2 * h, 2 * w):
    return _double(x)
  shape = (x.shape[0], *shape, x.shape[3])
  return jax.image.resize(x, shape, method='bilinear', antialias=False)


def _double(x: jax.Array) -> jax.Array:
  """`resize` to twice the size, by sums of neighbours instead of matrix products."""
  for axis in (1, 2):
    n = x.shape[axis]
    part = functools.partial(jax.lax.slice_in_dim, x, axis=axis)
    before = jnp.concatenate([part(0, 1), part(0, n - 1)], axis)
    after = jnp.concatenate([part(1, n), part(n - 1, n)], axis)
    pair = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis + 1)
    x = pair.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
  return x


def interleave(first: jax.Array, second: jax.Array) -> jax.Array:
  """Two batches as one, their examples alternating: [b ...] twice -> [2b ...].

  Concatenating them would move examples between devices if the batch is sharded.
  """
  return jnp.stack([first, second], axis=1).reshape(2 * first.shape[0], *first.shape[1:])


def dropout(keys: jax.Array, x: jax.Array, rate: float) -> jax.Array:
  """Sets a fraction `rate` of each example's values to zero: keys [b], x [b h w c].

  nn.Dropout has one key for the batch, so its result would depend on the number of devices.
  """
  keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, x.shape[1:]))(keys)
  return jnp.where(keep, x / (1 - rate), 0).astype(x.dtype)


def layer_norm(epsilon: float, dtype: Dtype, name: str) -> nn.LayerNorm:
  """Layer normalisation of the last axis, with the variance about the mean."""
  return nn.LayerNorm(epsilon=epsilon, dtype=dtype, use_fast_variance=False, name=name)


def attend(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
  """Multi-head scaled dot-product attention: [b n heads d], [b m heads d] twice -> [b n heads d].

  The softmax is computed in float32.
  """
  plain, branches = jax.nn.dot_product_attention, {'cpu': _attend_by_head}
  # cuDNN's fused kernel has no float32, and cannot be traced without such a GPU.
  if jax.default_backend() == 'gpu' and q.dtype in (jnp.bfloat16, jnp.float16):
    branches['cuda'] = functools.partial(plain, implementation='cudnn')
  return jax.lax.platform_dependent(q, k, v, default=plain, **branches)


def _attend_by_head(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
  """`attend` with one head after the other: their weights stay in the cache of a CPU."""

  def one(head: tuple[jax.Array, ...]) -> jax.Array:
    q, k, v = head
    logits = jnp.einsum('bnd,bdm->bnm', q, k, preferred_element_type=jnp.float32)
    weights = jnp.exp(logits - logits.max(-1, keepdims=True))
    y = jnp.einsum('bnm,bmd->bnd', weights.astype(v.dtype), v)
    return (y / weights.sum(-1, keepdims=True)).astype(v.dtype)

  q, v = (jnp.moveaxis(x, 2, 0) for x in (q * q.shape[-1] ** -0.5, v))
  return jnp.moveaxis(jax.lax.map(one, (q, jnp.transpose(k, (2, 0, 3, 1)), v)), 0, 2)
