"""Converts an ImageNet ResNet-50 of torchvision or timm to the encoder of the depth net.

Both packages use the same names (`conv1.weight`, `layer1.0.conv1.weight`, `bn1.running_mean`).
conv1 to layer3 are converted; layer4 and fc are not part of the encoder. conv1 has no bias there,
so the bias becomes zero.

The weights were trained with the stride of a bottleneck on its 3x3 convolution, as with
`model.stride_on='middle'`; the DeepLens release has it on the last 1x1. The shapes are equal. They
were trained without dilation, on images normalised as with `model.input='imagenet'`.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from depthjax.convert import naming
from depthjax.models.encoders import resnet

# Within a bottleneck: PyTorch -> Flax.
_CONVS = {'conv1': 'reduce', 'conv2': 'conv', 'conv3': 'expand'}
_NORM = {
  'weight': ('params', 'scale'),
  'bias': ('params', 'bias'),
  'running_mean': ('batch_stats', 'mean'),
  'running_var': ('batch_stats', 'var'),
}
_WIDTH = 64
_RIGHT = 'an ImageNet ResNet-50 of torchvision or timm'


def convert(
  tensors: Mapping[str, np.ndarray], name: str | os.PathLike
) -> tuple[dict[str, Any], list[str]]:
  """Returns variables with the encoder, and the names of the tensors that were not converted.

  `name` is the file, for messages. Raises InputError: as naming.check.
  """
  expected, paths = {}, {}
  for conv, norm, path, shape in layers():
    expected[f'{conv}.weight'] = shape
    paths[f'{conv}.weight'] = ('params', 'encoder', *path, 'conv', 'kernel')
    for key, (collection, leaf) in _NORM.items():
      expected[f'{norm}.{key}'] = shape[:1]
      paths[f'{norm}.{key}'] = (collection, 'encoder', *path, 'bn', leaf)
  naming.check(tensors, expected, name, _RIGHT, exact=False)
  variables: dict[str, Any] = {}
  for key, path in paths.items():
    naming.put(variables, path, naming.from_torch(tensors[key], expected[key]))
  bias = np.zeros(_WIDTH, np.float32)
  naming.put(variables, ('params', 'encoder', 'conv1', 'conv', 'bias'), bias)
  return variables, sorted(set(tensors) - set(expected))


def layers() -> Iterator[tuple[str, str, tuple[str, ...], tuple[int, ...]]]:
  """Yields (name of a convolution, name of its norm, Flax path, kernel shape)."""
  yield 'conv1', 'bn1', ('conv1',), (_WIDTH, 3, 7, 7)
  before = middle = _WIDTH
  for number, stage in enumerate(resnet.STAGES, start=1):
    for index, block in enumerate(resnet.block_names(stage)):
      name, after = f'layer{number}.{index}', 4 * middle
      shapes = (middle, before, 1, 1), (middle, middle, 3, 3), (after, middle, 1, 1)
      for (conv, ours), shape in zip(_CONVS.items(), shapes, strict=True):
        yield f'{name}.{conv}', f'{name}.bn{conv[-1]}', (block, ours), shape
      if index == 0:
        down = f'{name}.downsample'
        yield f'{down}.0', f'{down}.1', (block, 'project'), (after, before, 1, 1)
      before = after
    middle *= 2
