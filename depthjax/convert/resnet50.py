"""An ImageNet ResNet-50 of torchvision or timm as the encoder of the depth net.

Both name their tensors alike (`conv1.weight`, `layer1.0.conv1.weight`, `bn1.running_mean`). conv1
to layer3 are taken, in the layout of models.resnet; layer4 and fc have no place there. conv1 has
no bias in theirs, so it becomes zero.

torchvision strides the 3x3 of a bottleneck and DeepLens' release the last 1x1. The shapes are the
same, so the weights fit either; `model.stride_on='middle'` is the network that they were trained
as. It never had res4 dilated, and saw photographs less their mean: `model.input='imagenet'`.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from depthjax.files.errors import InputError
from depthjax.models.encoders import resnet

# Theirs and ours, within a bottleneck.
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
  """Variables with the encoder in them, and the names of the tensors that were left out.

  Args:
    tensors: a state dict; convolutions are [out in h w].
    name: the file, for messages.

  Raises:
    InputError: a tensor is missing, has another shape, or holds NaN or infinite values.
  """
  variables: dict[str, Any] = {'params': {}, 'batch_stats': {}}
  used = set()

  def take(key: str, shape: tuple[int, ...]) -> np.ndarray:
    if key not in tensors:
      raise InputError(name, f'has no tensor {key!r}', _RIGHT)
    x = tensors[key]
    if x.shape != shape:
      raise InputError(name, f'has {key!r} as {list(x.shape)}', f'{list(shape)}: {_RIGHT}')
    if not np.isfinite(x).all():
      raise InputError(name, f'holds NaN or infinite values in {key!r}', _RIGHT)
    used.add(key)
    return np.asarray(x, np.float32)

  for conv, norm, path, shape in layers():
    kernel = take(f'{conv}.weight', shape).transpose(2, 3, 1, 0)
    _put(variables, ('params', 'encoder', *path, 'conv', 'kernel'), kernel)
    for key, (collection, leaf) in _NORM.items():
      value = take(f'{norm}.{key}', shape[:1])
      _put(variables, (collection, 'encoder', *path, 'bn', leaf), value)
  bias = np.zeros(_WIDTH, np.float32)
  _put(variables, ('params', 'encoder', 'conv1', 'conv', 'bias'), bias)
  return variables, sorted(set(tensors) - used)


def layers() -> Iterator[tuple[str, str, tuple[str, ...], tuple[int, ...]]]:
  """Every convolution with its norm: both their names, our path, and their kernel's shape."""
  yield 'conv1', 'bn1', ('conv1',), (_WIDTH, 3, 7, 7)
  before = middle = _WIDTH
  for number, stage in enumerate(resnet.STAGES, start=1):
    for index, block in enumerate(resnet.block_names(stage)):
      theirs, after = f'layer{number}.{index}', 4 * middle
      shapes = (middle, before, 1, 1), (middle, middle, 3, 3), (after, middle, 1, 1)
      for (conv, ours), shape in zip(_CONVS.items(), shapes, strict=True):
        yield f'{theirs}.{conv}', f'{theirs}.bn{conv[-1]}', (block, ours), shape
      if index == 0:
        down = f'{theirs}.downsample'
        yield f'{down}.0', f'{down}.1', (block, 'project'), (after, before, 1, 1)
      before = after
    middle *= 2


def _put(tree: dict[str, Any], path: tuple[str, ...], value: np.ndarray) -> None:
  *parents, leaf = path
  for key in parents:
    tree = tree.setdefault(key, {})
  tree[leaf] = value
