"""The layered network in PyTorch, in evaluation mode, with our names of variables: [b c h w]."""

import collections
import functools
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from depthjax.convert import naming
from depthjax.models import layered

_conv = functools.partial(nn.Conv2d, kernel_size=3, padding=1)
_double = functools.partial(functional.interpolate, scale_factor=2.0, mode='bilinear')
_HEADS, _REDUCTIONS = (1, 2, 5, 8), (8, 4, 2, 1)
_MEAN = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
_STD = torch.tensor((0.229, 0.224, 0.225))[:, None, None]
_LEAVES = {'running_mean': ('batch_stats', 'mean'), 'running_var': ('batch_stats', 'var')}


class Layered(nn.Module):
  """Both layers of a disparity [b 1 h w] with a photograph [b 3 h w] and a mask [b 1 h w]."""

  def __init__(self, model: layered.Layered):
    super().__init__()
    self.backbone = _Encoder(model.widths, model.depths, model.ratios)
    for i, width in enumerate(model.widths):
      parts = {'linear': nn.Conv2d(width, model.projection, 1)}
      parts['conv'] = _conv(model.projection, model.fusion)
      self.add_module(f'project{i}', nn.Sequential(collections.OrderedDict(parts)))
    self.decoder, self.low_level, self.head = nn.Module(), nn.Module(), nn.Module()
    for i in range(4):
      for j in (1, 2) if i < 3 else (2,):
        self.decoder.add_module(f'fusion{i}_unit{j}', _Unit(model.fusion))
    self.low_level.conv = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    self.low_level.bn = nn.BatchNorm2d(64)
    self.head.conv1, self.head.conv2 = _conv(model.fusion + 64, 64), _conv(64, 32)
    self.head.conv3 = nn.Conv2d(32, 1, 1)

  def forward(self, image, disparity, mask) -> tuple[torch.Tensor, torch.Tensor]:
    """M and 1 - M are one batch, as in ours."""
    image, disparity = (torch.cat([x, x]) for x in (image, disparity))
    mask = torch.cat([mask, 1 - mask])
    first = torch.cat([disparity, mask, mask], 1)
    second = torch.cat([(image - _MEAN) / _STD, mask], 1)
    maps = [getattr(self, f'project{i}')(x) for i, x in enumerate(self.backbone(first, second))]
    x = maps[3]
    for i in (3, 2, 1, 0):
      x = x if i == 3 else x + getattr(self.decoder, f'fusion{i}_unit1')(maps[i])
      x = _double(getattr(self.decoder, f'fusion{i}_unit2')(x))
    low = functional.relu(self.low_level.bn(self.low_level.conv(first)))
    x = functional.relu(self.head.conv1(torch.cat([x, low], 1)))
    return self.head.conv3(functional.relu(self.head.conv2(_double(x)))).chunk(2)


class _Unit(nn.Module):
  def __init__(self, width: int):
    super().__init__()
    self.conv1, self.conv2 = _conv(width, width), _conv(width, width)

  def forward(self, x):
    return x + self.conv2(functional.relu(self.conv1(functional.relu(x))))


class _Encoder(nn.Module):
  def __init__(self, widths, depths, ratios):
    super().__init__()

    def stage(i, inputs):
      parts = {f'patch_embed{i + 1}': _Patches(inputs, widths[i], 3 if i else 7)}
      for j in range(depths[i]):
        parts[f'block{i + 1}_{j}'] = _Block(widths[i], _HEADS[i], ratios[i], _REDUCTIONS[i])
      return nn.Sequential(collections.OrderedDict(parts))

    self.second = stage(0, 4)
    self.stages = [stage(i, inputs) for i, inputs in enumerate((3, *widths[:-1]))]
    for i, modules in enumerate(self.stages):  # A list has no names.
      for name, module in modules.named_children():
        self.add_module(name, module)
      self.add_module(f'norm{i + 1}', nn.LayerNorm(widths[i], eps=1e-6))

  def forward(self, x, second) -> list:
    features = []
    for i, stage in enumerate(self.stages):
      y = stage(x) + self.second(second) if i == 0 else stage(x)
      features.append(x := getattr(self, f'norm{i + 1}')(y).permute(0, 3, 1, 2))
    return features


class _Patches(nn.Module):
  def __init__(self, inputs: int, width: int, kernel: int):
    super().__init__()
    self.proj = nn.Conv2d(inputs, width, kernel, (kernel + 1) // 2, kernel // 2)
    self.norm = nn.LayerNorm(width, eps=1e-5)

  def forward(self, x):
    return self.norm(self.proj(x).permute(0, 2, 3, 1))


class _Block(nn.Module):
  def __init__(self, width: int, heads: int, ratio: int, reduction: int):
    super().__init__()
    self.heads, self.attn, self.mlp = heads, nn.Module(), nn.Module()
    self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
    self.attn.q, self.attn.kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
    self.attn.proj = nn.Linear(width, width)
    if reduction > 1:
      self.attn.sr = nn.Conv2d(width, width, reduction, reduction)
      self.attn.norm = nn.LayerNorm(width, eps=1e-5)
    self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, ratio * width), nn.Linear(ratio * width, width)
    self.mlp.dwconv = nn.Conv2d(ratio * width, ratio * width, 3, 1, 1, groups=ratio * width)

  def forward(self, x):
    y = source = self.norm1(x)  # [b h w c]
    if hasattr(self.attn, 'sr'):
      source = self.attn.norm(self.attn.sr(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
    parts = self.attn.q(y), *self.attn.kv(source).chunk(2, -1)
    q, k, v = (z.flatten(1, 2).unflatten(2, (self.heads, -1)).transpose(1, 2) for z in parts)
    y = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
    x = x + self.attn.proj(y)
    y = self.mlp.dwconv(self.mlp.fc1(self.norm2(x)).permute(0, 3, 1, 2))
    return x + self.mlp.fc2(functional.gelu(y.permute(0, 2, 3, 1)))


def random(model: layered.Layered, seed: int) -> tuple[Layered, dict[str, Any]]:
  """The network with random weights such that every part affects the results, and our variables."""
  net = Layered(model).eval().requires_grad_(False)
  generator, variables = torch.Generator().manual_seed(seed), {}
  for name, x in net.state_dict().items():
    if 'num_batches' not in name:
      noise = torch.randn(x.shape, generator=generator)
      norm = x.ndim == 1 and ('norm' in name or '.bn.' in name)
      scale = x[0].numel() ** -0.5 if x.ndim > 1 else 0.2
      x.copy_((1 + scale * noise).abs() if norm else scale * noise)
      naming.put(variables, *_ours(name, x.numpy()))
  return net, variables


def _ours(name: str, x: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
  *path, leaf = name.split('.')
  collection, leaf = _LEAVES.get(leaf, ('params', leaf))
  if leaf == 'weight':
    leaf = 'scale' if x.ndim == 1 else 'kernel'
  if path[0].startswith('project'):  # One module of ours, whose first layer is a matrix.
    path, leaf = path[:1], f'{path[1]}_{leaf}'
    x = x[:, :, 0, 0] if leaf == 'linear_kernel' else x
  return (collection, *path, leaf), naming.from_torch(x, x.shape)
