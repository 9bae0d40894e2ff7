"""The learned lens blur of DeepLens (Wang et al., SIGGRAPH Asia 2018): three networks.

`FeatureNet` computes j feature maps for each colour channel of the photograph. `KernelNet` predicts
from the depth how to mix them at each pixel (eq. 2: a spatially varying blur becomes a 1x1 kernel).
`Upsampler` enlarges the blurred image by two, guided by the photograph (eq. 3); applied repeatedly,
it reaches the size of the photograph.

Shapes: b batch, h w the low resolution, H W = 2h 2w the high one. Images are sRGB in [0, 1].
`defocus` [b h w 1] is the signed circle of confusion divided by the largest one that the network
supports, in [-1, 1]; 0 is in focus, positive is in front of the focal plane.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.deeplens import discs
from depthjax.models.deeplens.features import FeatureNet, mix, total
from depthjax.models.deeplens.upsampler import Upsampler
from depthjax.ops import colour

# Field values of the two presets: the paper's text, and the graph that its authors released.
PRESETS = {
  'paper': {'features': (30, 30, 18, 15), 'normalise_kernel': False, 'head': 'weights2'},
  'release': {'features': (30, 30, 15, 15), 'normalise_kernel': True, 'head': 'features32'},
}


class KernelNet(nn.Module):
  """Kernels of eq. 2 from photograph and defocus: [b h w 3], [b h w 1] -> [b h w c].

  A deep branch at a quarter and an eighth of the size has the defocus as its only input. The
  photograph is an input at full size, so that kernels can follow its edges where the depth is
  wrong. `prior` is as in layers.Weights, such as discs.kernel_prior.
  """

  channels: int
  prior: Callable[..., tuple[jax.Array, jax.Array]] | None = None
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
    # Eq. 2 has no normalisation: the weights are initialised to a sum of about 1.
    scale = 1.0 if self.normalise else 1 / self.channels
    kernels = layers.Weights(
      self.channels, 1, self.prior, scale, self.threshold, self.dtype, name='kernels'
    )(y, defocus)
    return kernels / total(kernels) if self.normalise else kernels


class LensBlur(nn.Module):
  """Both networks of the lens blur and the upsampler, trained together (eq. 6).

  `light` is the space that eq. 2 and 3 mix in: 'linear' light, in which a blur is a mean, or 'srgb'
  values as in the released graph.
  """

  preset: str = 'release'  # As in PRESETS.
  width: int = 64  # Channels of the kernel net.
  upsampler_width: int = 32
  features: tuple[int, ...] = ()  # Widths of convolutions, multiples of 3; if empty the preset's.
  upsampler_features: tuple[int, ...] = ()
  radius: float = 8  # The blur radius in pixels of a defocus of 1.
  light: str = 'linear'
  initialisation: str = 'disc'  # As in FeatureNet.
  threshold: float = 0.0  # As in layers.Weights.
  momentum: float = 0.99  # This, `renorm` and `axis_name` are as in layers.BatchNorm.
  renorm: bool = True
  remat: bool = False  # Recomputes the wide blocks in the backward pass to save memory.
  dtype: layers.Dtype = jnp.float32  # Of the convolutions; the results are float32.
  axis_name: str | None = None

  def setup(self):
    choices = {'light': ('linear', 'srgb'), 'initialisation': ('disc', 'xavier')}
    for name, known in {'preset': PRESETS, **choices}.items():
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
      wrong = f'features are {widths}, upsampler_features {upsampler_widths}'
      raise ValueError(f'{wrong}; each must be a multiple of 3')
    statistics = self.momentum, self.renorm, self.dtype, self.axis_name
    norm = functools.partial(layers.BatchNorm, *statistics)
    shared = {'threshold': self.threshold, 'norm': norm, 'remat': self.remat, 'dtype': self.dtype}
    self.feature_net = FeatureNet(widths, self.initialisation, self.radius, self.dtype)
    prior = None
    if self.initialisation == 'disc':
      prior = functools.partial(discs.kernel_prior, widths, self.radius)
    self.kernel_net = KernelNet(
      1 + sum(widths) // 3, prior, self.width, preset['normalise_kernel'], **shared
    )
    upsampler = preset['head'], self.upsampler_width, upsampler_widths
    self.upsampler = Upsampler(*upsampler, self.initialisation, self.radius, **shared)

  def __call__(
    self, image: jax.Array, defocus: jax.Array, guide: jax.Array, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """[b h w 3], [b h w 1], [b 2h 2w 3] -> blurred [b h w 3] and [b 2h 2w 3]."""
    blurred = self.blur(image, defocus, train)
    return blurred, self.upsample(image, blurred, defocus, guide, train)

  def blur(self, image: jax.Array, defocus: jax.Array, train: bool = False) -> jax.Array:
    """The low-resolution result of eq. 2: [b h w 3], [b h w 1] -> [b h w 3].

    Images may exceed 1 (boosted highlights), here and in `upsample`: they are mixed as
    they are, but clipped where they are inputs of the networks that predict weights.
    """
    maps = self.feature_net(self._decoded(image))
    kernels = self.kernel_net(jnp.clip(image, 0, 1), defocus, train)
    return self._encoded(mix(kernels, maps))

  def upsample(
    self,
    image: jax.Array,
    blurred: jax.Array,
    defocus: jax.Array,
    guide: jax.Array,
    train: bool = False,
    corner: tuple[jax.Array, jax.Array] | None = None,
    prior_inputs: jax.Array | None = None,
  ) -> jax.Array:
    """`blurred` [b h w 3] at twice the size, guided by the photograph [b 2h 2w 3].

    `guide` can be the part of the photograph whose top-left pixel is at `corner` (row, column, in
    low-resolution pixels); the result has its size. `prior_inputs` are discs.prior_inputs
    [b h w 3]; None computes them for the lowest level.
    """
    low = jnp.concatenate([*(jnp.clip(x, 0, 1) for x in (image, blurred)), defocus], axis=-1)
    sources = self._decoded(blurred), self._decoded(guide)
    guide = jnp.clip(guide, 0, 1)
    return self._encoded(self.upsampler(low, guide, *sources, train, corner, prior_inputs))

  def _decoded(self, image: jax.Array) -> jax.Array:
    return colour.srgb_to_linear(image) if self.light == 'linear' else image

  def _encoded(self, image: jax.Array) -> jax.Array:
    return colour.linear_to_srgb(image) if self.light == 'linear' else image


def network(fields: Mapping[str, Any], *, radius: int, axis_name: str | None = None) -> LensBlur:
  """The network of a config's `model` fields, for blurs up to `radius` pixels."""
  return LensBlur(**layers.module_fields(fields), radius=radius, axis_name=axis_name)


def from_config(config: Mapping[str, Any]) -> tuple[LensBlur, Any]:
  """The network that a run trains, by its config, and the shapes of its variables.

  Raises:
    KeyError, TypeError, ValueError: the config is of another task.
  """
  model = network(config['model'], radius=int(config['render']['radius']))
  return model, jax.eval_shape(functools.partial(initial, model))


def initial(model: LensBlur) -> Any:
  """Randomly initialised variables of the network."""
  image, defocus = jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 8, 8, 1))
  return model.init(jax.random.key(0), image, defocus, jnp.zeros((1, 16, 16, 3)), False)
