"""Feature maps of the lens blur, and their mixture. Shapes: b batch, h w, c channels, j maps."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.deeplens import discs

_EPSILON = 1e-6


class FeatureNet(nn.Module):
  """Features that 1x1 kernels can mix into a blur: [b h w c] -> [b h w j 3].

  The features are the input and the outputs of all layers; channel i belongs to colour i mod 3.
  With `initialisation='disc'` the convolutions are initialised so that the outputs are the last
  three input channels blurred by discs and half discs of radii up to `radius`: mixing them is a
  lens blur before any training. 'xavier' is the random initialisation of the released graph.
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
      size = discs.SIZES[min(i, 1)]
      conv = layers.PaddedConv(width, size, kernel_init=init, dtype=self.dtype, name=f'conv{i}')
      x = nn.relu(conv(x))
      maps.append(x.astype(jnp.float32))
    y = jnp.concatenate(maps, axis=-1)
    return y.reshape(*y.shape[:-1], -1, 3)


def mix(weights: jax.Array, maps: jax.Array) -> jax.Array:
  """Weighted sum of maps: [b h w j], [b h w j 3] -> [b h w 3]."""
  return jnp.einsum('bhwj,bhwjc->bhwc', weights, maps)


def total(weights: jax.Array) -> jax.Array:
  """Sum of the weights, to normalise a mixture by: [b h w j] -> [b h w 1], positive."""
  return weights.sum(axis=-1, keepdims=True) + _EPSILON


def _constant(value: np.ndarray) -> Callable[..., jax.Array]:
  """An initialiser with a fixed value."""
  return lambda key, shape, dtype=jnp.float32: jnp.asarray(value.reshape(shape), dtype)
