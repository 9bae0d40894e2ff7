"""The encoder of DeepLens' depth net: ResNet-50 up to Res4f, the first 14 residual blocks.

He et al., "Deep residual learning for image recognition", CVPR 2016, with two changes of DeepLens
(section 3.1 and the released graph): res4 has a dilation of 2 instead of a stride, and conv1 has a
bias.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers

# Blocks, stride and dilation of each stage. The width doubles from stage to stage.
STAGES = {'res2': (3, 1, 1), 'res3': (4, 2, 1), 'res4': (6, 1, 2)}


def block_names(stage: str) -> list[str]:
  """Names of the bottlenecks of a stage: res2a, res2b, res2c."""
  return [f'{stage}{letter}' for letter in 'abcdef'[: STAGES[stage][0]]]


class ResNet50(nn.Module):
  """Features of an image [b h w 3] by name, h and w multiples of 8.

  Returns 'conv1' [b h/2 w/2 width], 'res2' [b h/4 w/4 4 width] and 'res4' [b h/8 w/8 16 width].

  With `stride_on` 'last' the stride of res3 is on its last 1x1 convolution, as in the release, with
  'middle' on the 3x3, as in torchvision. Parameters have the same shapes for both.
  """

  width: int = 64  # Channels of conv1; scales all others.
  stride_on: str = 'last'
  norm: Callable[..., nn.Module] = layers.BatchNorm
  remat: bool = False  # Recomputes each bottleneck in the backward pass.
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> dict[str, jax.Array]:
    bottleneck = nn.remat(layers.Bottleneck, static_argnums=2) if self.remat else layers.Bottleneck
    shared = {'norm': self.norm, 'dtype': self.dtype}
    linear = {'stride_on': self.stride_on, 'project_act': jax.nn.identity}
    block = functools.partial(bottleneck, **linear, **shared)
    stem = layers.ConvNorm(self.width, 7, 2, bias=True, centred=True, name='conv1', **shared)
    features = {'conv1': stem(x, train)}
    x = nn.max_pool(features['conv1'], (3, 3), (2, 2), ((1, 1), (1, 1)))
    middle = self.width
    for stage, (_, stride, dilation) in STAGES.items():
      for name in block_names(stage):
        x = block(4 * middle, middle, stride, dilation, name=name)(x, train)
        stride = 1
      features[stage] = x
      middle *= 2
    return {name: features[name] for name in ('conv1', 'res2', 'res4')}
