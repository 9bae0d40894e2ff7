"""The guided x2 upsampler of the lens blur (DeepLens, section 3.2.3).

Shapes: b batch, h w the low resolution, H W = 2h 2w the high one, j maps.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.deeplens import discs
from depthjax.models.deeplens.features import FeatureNet, mix, total


class Upsampler(nn.Module):
  """Guided upsampling by two, the same parameters at every level of a pyramid (section 3.2.3).

  Predicts weights [b H W j] from the photograph, the blurred image, the defocus and the photograph
  at twice the size. They mix maps [b H W j 3] into the blurred image [b H W 3]. With
  `head='weights2'` the maps are the enlarged blurred image and the photograph (eq. 3); 'features32'
  adds convolutions of the two, as in the released graph.
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
    prior_inputs: jax.Array | None = None,
  ) -> jax.Array:
    """`blurred` [b h w 3] enlarged by two, mixed with `sharp` [b H W 3].

    Args:
      low: photograph, blurred image and defocus [b h w 7], in sRGB.
      guide, corner, prior_inputs: as in `LensBlur.upsample`.
      blurred, sharp: the images to mix, in the space to mix in.
      train: whether batch statistics are updated.
    """
    unet = nn.remat(UNet, static_argnums=2) if self.remat else UNet
    if prior_inputs is None:
      defocus = low[..., 6:]
      around = (f(defocus, self.radius) for f in (discs.nearby_defocus, discs.least_defocus))
      prior_inputs = discs.prior_inputs(defocus, *around, self.radius)
    low = unet(self.width, norm=self.norm, dtype=self.dtype, name='unet')(low, train)
    if corner is not None:
      crops = (_crop(x, corner, guide.shape) for x in (low, blurred, prior_inputs))
      low, blurred, prior_inputs = crops
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
    prior = None
    if self.initialisation == 'disc':
      features = self.features if self.head == 'features32' else ()
      prior = functools.partial(discs.upsampler_prior, features, self.radius)
    weights = layers.Weights(
      maps.shape[-2], 3, prior, 1.0, self.threshold, self.dtype, name='weights'
    )(y, prior_inputs, guide.shape[1:3])
    # Normalised after mixing: with the sum before it XLA fuses all convolutions into a slow kernel.
    return mix(weights, maps) / total(weights)


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


def _crop(x: jax.Array, corner: tuple[jax.Array, jax.Array], guide: tuple[int, ...]) -> jax.Array:
  """The part of a low-resolution map from `corner` on that corresponds to a guide of a shape."""
  size = (x.shape[0], guide[1] // 2, guide[2] // 2, x.shape[3])
  return jax.lax.dynamic_slice(x, (0, *corner, 0), size)
