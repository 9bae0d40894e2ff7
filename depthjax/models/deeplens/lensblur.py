"""The learned lens blur of DeepLens (Wang et al., SIGGRAPH Asia 2018): three networks.

A photograph is lifted to c features a colour by convolutions (`FeatureNet`); the depth says at each
pixel how to mix them (`KernelNet`, eq. 2: a spatially varying blur becomes a 1x1 kernel); and a
recurrent x2 upsampler takes the blurred picture up to the photograph's size (`Upsampler`, eq. 3).

Shapes: b batch, h w the low resolution, H W = 2h 2w the high one. Images are sRGB in [0, 1].
`defocus` [b h w 1] is the signed circle of confusion in units of the largest one that the network
handles, in [-1, 1]; 0 is in focus, positive is in front of the focal plane.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.deeplens import discs
from depthjax.ops import colour

# Field values of the two presets: the paper's text, and the graph that its author released.
PRESETS = {
  'paper': {'features': (30, 30, 18, 15), 'normalise_kernel': False, 'head': 'weights2'},
  'release': {'features': (30, 30, 15, 15), 'normalise_kernel': True, 'head': 'features32'},
}
_EPSILON = 1e-6


class FeatureNet(nn.Module):
  """Features that 1x1 kernels can mix into a blur: [b h w c] -> [b h w j 3].

  Every layer's output is kept. Channel i belongs to colour i mod 3, and j = 0 is the input pixel.
  With `initialisation='disc'` the features start as discs and half discs of radii up to `radius`
  within a colour, of the last three channels of the input, so that mixing them is a lens blur from
  the first step; 'xavier' starts from noise as the released graph does.
  """

  widths: tuple[int, ...]
  initialisation: str = 'disc'
  radius: float = 7.5
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    inits = [nn.initializers.xavier_uniform()] * len(self.widths)
    if self.initialisation == 'disc':
      inits = [_constant(k) for k in discs.kernels(x.shape[-1], self.widths, self.radius)]
    maps = [x]
    for i, (width, init) in enumerate(zip(self.widths, inits, strict=True)):
      conv = layers.BorderConv(
        width, discs.SIZES[min(i, 1)], kernel_init=init, dtype=self.dtype, name=f'conv{i}'
      )
      x = nn.relu(conv(x))
      maps.append(x.astype(jnp.float32))
    y = jnp.concatenate(maps, axis=-1)
    return y.reshape(*y.shape[:-1], -1, 3)


class KernelNet(nn.Module):
  """Kernels of eq. 2 from photograph and defocus: [b h w 3], [b h w 1] -> [b h w c].

  A deep branch at a quarter and an eighth of the size sees the defocus alone; the photograph enters
  at full size only, so that edges of the kernels can follow it where the depth is wrong. With
  `initialisation`, kernels and a factor from the defocus as discs.kernel_start gives, the net
  learns what to add to these kernels, times that factor.
  """

  channels: int
  initialisation: Callable[..., tuple[jax.Array, jax.Array]] | None = None
  width: int = 64
  normalise: bool = True
  threshold: float = 0.0
  norm: Callable[..., nn.Module] = layers.BatchNorm
  remat: bool = False
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, image: jax.Array, defocus: jax.Array, train: bool) -> jax.Array:
    bottleneck = nn.remat(layers.Bottleneck, static_argnums=2) if self.remat else layers.Bottleneck
    conv = functools.partial(layers.ConvNorm, norm=self.norm, dtype=self.dtype)
    block = functools.partial(bottleneck, middle=self.width, norm=self.norm, dtype=self.dtype)
    w = self.width

    shallow = jnp.concatenate([image - 0.5, defocus], axis=-1)
    shallow = conv(w, 7, name='shallow')(shallow, train)
    deep = conv(w, 7, 4, name='deep')(defocus, train)
    deep = block(2 * w, name='deep1')(deep, train)
    deep = block(4 * w, stride=2, name='deep2')(deep, train)
    deep = block(4 * w, name='deep3')(deep, train)

    y = jnp.concatenate([layers.resize(deep, image.shape[1:3]), shallow], axis=-1)
    y = block(2 * w, name='mix1')(y, train)
    y = block(4 * w, name='mix2')(y, train)
    y = block(4 * w, name='mix3')(y, train)
    # Eq. 2 has no normalisation: its weights must start at a sum of about 1 by themselves.
    scale = 1.0 if self.normalise else 1 / self.channels
    kernels = layers.Weights(
      self.channels, 1, self.initialisation, scale, self.threshold, self.dtype, name='kernels'
    )(y, defocus)
    return kernels / _total(kernels) if self.normalise else kernels


class Upsampler(nn.Module):
  """Guided upsampling by two, the same weights at every level of a pyramid (section 3.2.3).

  From `low` [b h w 7] (photograph, blurred picture, defocus) and `guide`, the photograph at twice
  the size, weights [b H W j] that mix maps [b H W j 3] into the blurred picture [b H W 3]. With
  `head='weights2'` the maps are the enlarged blur and the photograph (eq. 3); with 'features32'
  convolutions of the two join them, as in the released graph.
  """

  head: str = 'features32'
  width: int = 32
  features: tuple[int, ...] = (30, 30, 15, 15)
  initialisation: str = 'disc'
  radius: float = 8
  threshold: float = 0.0
  norm: Callable[..., nn.Module] = layers.BatchNorm
  remat: bool = False
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(
    self,
    low: jax.Array,
    guide: jax.Array,
    blurred: jax.Array,
    sharp: jax.Array,
    train: bool,
    corner: tuple[jax.Array, jax.Array] | None = None,
    place: jax.Array | None = None,
  ) -> jax.Array:
    """Mixes `blurred` [b h w 3], enlarged, and `sharp` [b H W 3] as `low` and `guide` say."""
    unet = nn.remat(UNet, static_argnums=2) if self.remat else UNet
    if place is None:
      place = discs.place(low[..., 6:], discs.nearby(low[..., 6:], self.radius), self.radius)
    low = unet(self.width, norm=self.norm, dtype=self.dtype, name='unet')(low, train)
    if corner is not None:
      windows = (layers.window(x, corner, guide.shape[1:3]) for x in (low, blurred, place))
      low, blurred, place = windows
    conv = functools.partial(layers.ConvNorm, self.width, norm=self.norm, dtype=self.dtype)
    low = conv(name='enlarged')(layers.resize(low, guide.shape[1:3]), train)

    enlarged = layers.resize(blurred, guide.shape[1:3])
    maps = jnp.stack([enlarged, sharp], axis=-2)
    if self.head == 'features32':
      maps = FeatureNet(
        self.features, self.initialisation, discs.SMALL, self.dtype, name='features'
      )(jnp.concatenate([enlarged, sharp], axis=-1))

    y = jnp.concatenate([guide, low], axis=-1)
    for i in range(4):
      y = conv(name=f'weight{i}')(y, train)
    initialisation = None
    if self.initialisation == 'disc':
      features = self.features if self.head == 'features32' else ()
      initialisation = functools.partial(discs.upsampler_start, features, self.radius)
    weights = layers.Weights(
      maps.shape[-2], 3, initialisation, 1.0, self.threshold, self.dtype, name='weights'
    )(y, place, guide.shape[1:3])
    # Divided last: a sum before the mixing has XLA fuse all convolutions into one slow kernel.
    return mix(weights, maps) / _total(weights)


class UNet(nn.Module):
  """Three levels down and up again, skips added: [b h w c] -> [b h w width]."""

  width: int = 32
  norm: Callable[..., nn.Module] = layers.BatchNorm
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    conv = functools.partial(layers.ConvNorm, norm=self.norm, dtype=self.dtype)
    x = conv(self.width, name='down0')(x, train)
    skips = []
    for i in (1, 2, 3):
      skips.append(x)
      x = conv(self.width * 2**i, stride=2, name=f'down{i}')(x, train)
    x = conv(self.width * 8, name='middle')(x, train)
    for i in (2, 1, 0):
      x = conv(self.width * 2**i, name=f'up{i}')(x, train)
      x = layers.resize(x, skips[i].shape[1:3]) + skips[i]
    return conv(self.width, name='out')(x, train)


class LensBlur(nn.Module):
  """Both networks of the lens blur and the upsampler, trained together (eq. 6).

  Fields: `preset` as in PRESETS; `width` scales the kernel net (64 in the paper) and
  `upsampler_width` the upsampler (32); `features` are the widths of the feature convolutions, of
  the preset where empty; `light` is the space that eq. 2 and 3 mix in: 'linear' light, in
  which a blur is a mean, or 'srgb' values as the released graph does; `initialisation` as in
  FeatureNet; `threshold` as in layers.Weights; `radius` is the blur in pixels of a defocus of 1;
  `momentum`,
  `renorm` and `axis_name` are as in layers.BatchNorm; `remat` recomputes the wide blocks in the
  backward pass to save memory; `dtype` of the convolutions, the results are float32.
  """

  preset: str = 'release'
  width: int = 64
  upsampler_width: int = 32
  features: tuple[int, ...] = ()
  upsampler_features: tuple[int, ...] = ()
  radius: float = 8
  light: str = 'linear'
  initialisation: str = 'disc'
  threshold: float = 0.0
  momentum: float = 0.99
  renorm: bool = True
  remat: bool = False
  dtype: layers.Dtype = jnp.float32
  axis_name: str | None = None

  def setup(self):
    if self.preset not in PRESETS:
      raise ValueError(f'preset is {self.preset!r}; it can be {", ".join(PRESETS)}')
    for name, known in (('light', ('linear', 'srgb')), ('initialisation', ('disc', 'xavier'))):
      if getattr(self, name) not in known:
        raise ValueError(f'{name} is {getattr(self, name)!r}; it can be {" or ".join(known)}')
    if self.threshold < 0 or (self.threshold and self.initialisation != 'disc'):
      raise ValueError(
        f"threshold is {self.threshold}; at least 0, and 0 unless initialisation is 'disc'"
      )
    preset = PRESETS[self.preset]
    widths = self.features or preset['features']
    upsampler_widths = self.upsampler_features or Upsampler.features
    if any(width % 3 for width in (*widths, *upsampler_widths)):
      raise ValueError(f'features are {widths}; each must be a multiple of 3, a share a colour')
    norm = layers.norm(self.momentum, self.renorm, dtype=self.dtype, axis_name=self.axis_name)
    shared = {'threshold': self.threshold, 'norm': norm, 'remat': self.remat, 'dtype': self.dtype}
    self.feature_net = FeatureNet(widths, self.initialisation, self.radius, self.dtype)
    initialisation = None
    if self.initialisation == 'disc':
      initialisation = functools.partial(discs.kernel_start, widths, self.radius)
    self.kernel_net = KernelNet(
      1 + sum(widths) // 3, initialisation, self.width, preset['normalise_kernel'], **shared
    )
    self.upsampler = Upsampler(
      preset['head'],
      self.upsampler_width,
      upsampler_widths,
      self.initialisation,
      self.radius,
      **shared,
    )

  def __call__(
    self, image: jax.Array, defocus: jax.Array, guide: jax.Array, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """[b h w 3], [b h w 1], [b 2h 2w 3] -> blurred [b h w 3] and [b 2h 2w 3]."""
    blurred = self.blur(image, defocus, train)
    return blurred, self.upsample(image, blurred, defocus, guide, train)

  def blur(self, image: jax.Array, defocus: jax.Array, train: bool = False) -> jax.Array:
    """The low-resolution result of eq. 2: [b h w 3], [b h w 1] -> [b h w 3]."""
    maps = self.feature_net(self._decoded(image))
    return self._encoded(mix(self.kernel_net(image, defocus, train), maps))

  def upsample(
    self,
    image: jax.Array,
    blurred: jax.Array,
    defocus: jax.Array,
    guide: jax.Array,
    train: bool = False,
    corner: tuple[jax.Array, jax.Array] | None = None,
    place: jax.Array | None = None,
  ) -> jax.Array:
    """One doubling of `blurred` [b h w 3], guided by the photograph [b 2h 2w 3].

    With a `corner` (row, column) of the small frame, `guide` is the part that begins there. `place`
    [b h w 2] is that of discs.place; without, of a whole frame at the lowest level.
    """
    low = jnp.concatenate([image, blurred, defocus], axis=-1)
    sources = self._decoded(blurred), self._decoded(guide)
    return self._encoded(self.upsampler(low, guide, *sources, train, corner, place))

  def _decoded(self, image: jax.Array) -> jax.Array:
    return colour.srgb_to_linear(image) if self.light == 'linear' else image

  def _encoded(self, image: jax.Array) -> jax.Array:
    return colour.linear_to_srgb(image) if self.light == 'linear' else image


def mix(weights: jax.Array, maps: jax.Array) -> jax.Array:
  """Sum of maps by weights, the same for the three colours: [b h w j], [b h w j 3] -> [b h w 3]."""
  return jnp.einsum('bhwj,bhwjc->bhwc', weights, maps)


def _constant(value: np.ndarray) -> Callable[..., jax.Array]:
  """An initialiser that draws nothing."""
  return lambda key, shape, dtype=jnp.float32: jnp.asarray(value.reshape(shape), dtype)


def _total(weights: jax.Array) -> jax.Array:
  return weights.sum(axis=-1, keepdims=True) + _EPSILON
