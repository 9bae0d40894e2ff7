"""The published depth networks in PyTorch, with random weights: those of transformers, and a MiDaS.

Without PyTorch and transformers the functions raise AttributeError.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from depthjax.models.encoders import resnext
from depthjax.models.predictors import published
from depthjax.models.predictors.depth_anything import SIZES

try:
  import torch
  import transformers
except ImportError:
  torch = transformers = None

# Newer names in transformers -> those of the files on the Hub.
_OLDER = {
  f'.attention.{x[0]}_proj.': f'.attention.attention.{x}.' for x in ('query', 'key', 'value')
}
_OLDER['.attention.o_proj.'] = '.attention.output.dense.'


def make(fields: dict[str, Any], seed: int) -> tuple[dict[str, np.ndarray], Callable]:
  """A state dict, and the function of images [b h w 3] -> [b h w], of a config's `model` fields."""
  if fields['network'] == 'midas':
    tensors = _midas_tensors(published.network(fields).width, seed)
    predict = functools.partial(_midas, tensors)
  else:
    model = build(fields, seed)
    tensors, predict = model.state_dict(), lambda x: model(x).predicted_depth

  def twin(image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
      return predict(torch.from_numpy(image.transpose(0, 3, 1, 2).copy())).numpy()

  return {name: x.numpy() for name, x in tensors.items()}, twin


def names(fields: dict[str, Any]) -> set[str]:
  """The names of the tensors of a network of transformers, as on the Hub, without its memory."""
  with torch.device('meta'):
    tensors = _network(fields).state_dict()
  return {functools.reduce(lambda name, x: name.replace(*x), _OLDER.items(), n) for n in tensors}


def build(fields: dict[str, Any], seed: int) -> Any:
  """The network of transformers with random weights, of outputs with a wide range."""
  model, generator = _network(fields), torch.Generator().manual_seed(seed)
  with torch.no_grad():
    for name, x in model.named_parameters():
      noise = torch.randn(x.shape, generator=generator)
      x.copy_(x + 0.1 * noise if x.ndim < 2 else noise * x[0].numel() ** -0.5)
      if name in ('head.head.4.bias', 'head.conv3.bias'):
        x.fill_(0 if fields.get('max_depth') else 3)
  return model


def _network(fields: dict[str, Any]) -> Any:
  ours = published.network(fields)
  if fields['network'] == 'dpt':
    config = transformers.DPTConfig(
      hidden_size=ours.width,
      num_attention_heads=ours.heads,
      num_hidden_layers=ours.taps[-1] + 1,
      intermediate_size=4 * ours.width,
      backbone_out_indices=list(ours.taps),
      neck_hidden_sizes=list(ours.widths),
      fusion_hidden_size=ours.fusion,
      image_size=384,
      is_hybrid=False,
      layer_norm_eps=1e-6,  # That of the original weights.
    )
    return transformers.DPTForDepthEstimation(config).eval()
  size = SIZES[ours.size]
  backbone = transformers.Dinov2Config(
    hidden_size=size.width,
    num_attention_heads=size.heads,
    num_hidden_layers=size.taps[ours.version][-1] + 1,
    out_indices=[tap + 1 for tap in size.taps[ours.version]],
    image_size=518,
    patch_size=14,
    reshape_hidden_states=False,
  )
  config = transformers.DepthAnythingConfig(
    backbone_config=backbone,
    reassemble_hidden_size=size.width,
    neck_hidden_sizes=list(size.widths),
    fusion_hidden_size=size.fusion,
    depth_estimation_type='metric' if ours.max_depth else 'relative',
    max_depth=int(ours.max_depth) or 1,
  )
  return transformers.DepthAnythingForDepthEstimation(config).eval()


class _Random(dict):
  """Random tensors by name."""

  def __init__(self, seed: int):
    super().__init__()
    self.generator = torch.Generator().manual_seed(seed)

  def conv(self, name: str, out: int, into: int, size: int, bias: bool = False) -> None:
    x = torch.randn(out, into, size, size, generator=self.generator)
    self[f'{name}.weight'] = x * (into * size**2) ** -0.5
    if bias:
      self[f'{name}.bias'] = torch.randn(out, generator=self.generator) * 0.1

  def norm(self, name: str, out: int) -> None:
    for part, centre in (('weight', 1), ('bias', 0), ('running_mean', 0), ('running_var', 1)):
      self[f'{name}.{part}'] = centre + 0.1 * torch.rand(out, generator=self.generator)
    self[f'{name}.num_batches_tracked'] = torch.tensor(3)


def _midas_tensors(width: int, seed: int) -> dict[str, Any]:
  """Tensors of a MiDaS v2.1 with `width` / 64 times the channels, by the authors' names."""
  tensors = _Random(seed)
  tensors.conv('pretrained.layer1.0', width, 3, 7)
  tensors.norm('pretrained.layer1.1', width)
  into = width
  for i, depth in enumerate(resnext.DEPTHS):
    out = 4 * width * 2**i
    tensors.conv(f'scratch.layer{i + 1}_rn', 256, out, 3)
    for j in range(depth):
      name = f'pretrained.layer{i + 1}.{"4." if i == 0 else ""}{j}'
      parts = [('conv1', 'bn1', into, 1), ('conv2', 'bn2', out // resnext.GROUPS, 3)]
      parts += [('conv3', 'bn3', out, 1)]
      parts += [('downsample.0', 'downsample.1', into, 1)] if j == 0 else []
      for conv, norm, channels, size in parts:
        tensors.conv(f'{name}.{conv}', out, channels, size)
        tensors.norm(f'{name}.{norm}', out)
      into = out
    for unit in ('1.conv1', '1.conv2', '2.conv1', '2.conv2'):
      tensors.conv(f'scratch.refinenet{i + 1}.resConfUnit{unit}', 256, 256, 3, True)
  for index, out, into, size in ((0, 128, 256, 3), (2, 32, 128, 3), (4, 1, 32, 1)):
    tensors.conv(f'scratch.output_conv.{index}', out, into, size, True)
  tensors['scratch.output_conv.4.bias'] += 3
  return dict(tensors)


def _midas(tensors: dict[str, Any], x: Any) -> Any:
  """The forward pass from the paper's figures and the list of tensors; images [b 3 h w]."""
  functional = torch.nn.functional

  def conv(x, name, stride=1, groups=1):
    weight = tensors[f'{name}.weight']
    padding, bias = weight.shape[2] // 2, tensors.get(f'{name}.bias')
    return functional.conv2d(x, weight, bias, stride, padding, groups=groups)

  def norm(x, name):
    parts = ('running_mean', 'running_var', 'weight', 'bias')
    return functional.batch_norm(x, *(tensors[f'{name}.{part}'] for part in parts))

  def bottleneck(x, name, stride):
    y = functional.relu(norm(conv(x, f'{name}.conv1'), f'{name}.bn1'))
    y = conv(y, f'{name}.conv2', stride, resnext.GROUPS)
    y = norm(conv(functional.relu(norm(y, f'{name}.bn2')), f'{name}.conv3'), f'{name}.bn3')
    if f'{name}.downsample.0.weight' in tensors:
      x = norm(conv(x, f'{name}.downsample.0', stride), f'{name}.downsample.1')
    return functional.relu(x + y)

  def unit(x, name):
    y = conv(functional.relu(x), f'{name}.conv1')
    return functional.relu(x) + conv(functional.relu(y), f'{name}.conv2')

  def double(x, aligned):
    return functional.interpolate(x, scale_factor=2, mode='bilinear', align_corners=aligned)

  x = functional.relu(norm(conv(x, 'pretrained.layer1.0', 2), 'pretrained.layer1.1'))
  x, maps = functional.max_pool2d(x, 3, 2, 1), []
  for i, depth in enumerate(resnext.DEPTHS):
    for j in range(depth):
      name = f'pretrained.layer{i + 1}.{"4." if i == 0 else ""}{j}'
      x = bottleneck(x, name, 2 if i and not j else 1)
    maps.append(conv(x, f'scratch.layer{i + 1}_rn'))
  x = maps[3]
  for i in (3, 2, 1, 0):
    name = f'scratch.refinenet{i + 1}.resConfUnit'
    x = x if i == 3 else x + unit(maps[i], f'{name}1')
    x = double(unit(x, f'{name}2'), True)
  x = double(conv(x, 'scratch.output_conv.0'), False)
  x = functional.relu(conv(x, 'scratch.output_conv.2'))
  return functional.relu(conv(x, 'scratch.output_conv.4'))[:, 0]
