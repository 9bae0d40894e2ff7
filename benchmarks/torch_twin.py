"""The layers of models.deeplens.lensblur in PyTorch: same weights, preset 'release', evaluation."""

import math
from typing import Any

import jax
import numpy as np

from depthjax.models.deeplens import discs
from depthjax.models.deeplens.lensblur import LensBlur
from depthjax.models.deeplens.upsampler import Upsampler

try:
  import torch
  from torch.nn import functional
except ImportError:
  torch = None

_EPSILON, _NORM_EPSILON = 1e-6, 1e-5


class Twin:
  """Both parts of the network; tensors are [b c h w]."""

  def __init__(self, model: LensBlur, variables: dict[str, Any], dtype: str = 'float32'):
    if (model.preset, model.light, model.initialisation, model.threshold) != (
      'release',
      'linear',
      'disc',
      0,
    ):
      raise ValueError(
        "the twin knows the preset 'release' in linear light, started as discs, no threshold"
      )
    widths = model.features or (30, 30, 15, 15), model.upsampler_features or Upsampler.features
    self.model, self.threads = model, torch.get_num_threads()
    self._dtype = getattr(torch, dtype)
    self._params = _tensors(variables['params'], self._dtype)
    self._stats = _tensors(variables['batch_stats'], torch.float32)
    radii = model.radius, discs.SMALL
    self._blur_discs, self._sharp_discs = map(_whole_discs, widths, radii)

  def tensors(self, arrays) -> list:
    """NumPy [b h w c] as tensors [b c h w] in channels-last memory."""
    return [torch.from_numpy(np.array(x)).permute(0, 3, 1, 2) for x in arrays]

  def array(self, tensor) -> np.ndarray:
    """A tensor as NumPy [b h w c]."""
    return tensor.permute(0, 2, 3, 1).float().numpy()

  def blur(self, image, defocus):
    """`LensBlur.blur`."""
    with torch.inference_mode():
      maps = self._features(_decoded(image), ('feature_net',))
      return _encoded(_mix(self._kernels(image, defocus), maps))

  def upsample(self, image, blurred, defocus, guide, place):
    """`LensBlur.upsample` of a full frame."""
    with torch.inference_mode():
      size = guide.shape[2:]
      low = self._unet(torch.cat([image, blurred, defocus], 1))
      low = self._conv(_resize(low, size), 'upsampler', 'enlarged')
      sources = torch.cat([_resize(_decoded(blurred), size), _decoded(guide)], 1)
      maps = self._features(sources, ('upsampler', 'features'))
      y = torch.cat([guide.to(low.dtype), low], 1)
      for i in range(4):
        y = self._conv(y, 'upsampler', f'weight{i}')
      weights = self._plain(y, 'upsampler', 'weights', padding=1).float()
      prior, factor = self._enlargement(_resize(place, size))
      return _encoded(_mix(_normalised(torch.relu(prior + factor * weights)), maps))

  def _features(self, x, path: tuple[str, ...]):
    maps = [x]
    net = _at(self._params, path)
    for i in range(len(net)):
      conv = net[f'conv{i}']['conv']
      border = conv['kernel'].shape[-1] // 2
      x = _symmetric(x.to(self._dtype), border)
      x = torch.relu(functional.conv2d(x, conv['kernel'], conv['bias']))
      maps.append(x.float())
    y = torch.cat(maps, 1)
    return y.reshape(y.shape[0], -1, 3, *y.shape[2:])

  def _kernels(self, image, defocus):
    net = 'kernel_net'
    shallow = self._conv(torch.cat([image - 0.5, defocus], 1), net, 'shallow')
    deep = self._conv(defocus, net, 'deep', stride=4)
    for name, stride in (('deep1', 1), ('deep2', 2), ('deep3', 1)):
      deep = self._bottleneck(deep, net, name, stride=stride)
    y = torch.cat([_resize(deep, image.shape[2:]), shallow], 1)
    for name in ('mix1', 'mix2', 'mix3'):
      y = self._bottleneck(y, net, name)
    prior = _mixture(self.model.radius * defocus.abs(), *self._blur_discs)
    factor = _within_reach(defocus, self.model.radius)
    return _normalised(torch.relu(prior + factor * self._plain(y, net, 'kernels').float()))

  def _enlargement(self, place):
    defocus, near, focus = place.split(1, 1)
    blur = 2 * self.model.radius * defocus.abs()
    enlarged = ((blur - discs.SMALL / 2) / (discs.SMALL / 2)).clamp(0, 1)
    sharp = _mixture(blur.clamp(max=discs.SMALL), *self._sharp_discs)
    factors = torch.cat([near, (near * focus).expand_as(sharp)], 1)
    return torch.cat([enlarged, (1 - enlarged) * sharp], 1), factors

  def _unet(self, x):
    path = ('upsampler', 'unet')
    x, skips = self._conv(x, *path, 'down0'), []
    for i in (1, 2, 3):
      skips.append(x)
      x = self._conv(x, *path, f'down{i}', stride=2)
    x = self._conv(x, *path, 'middle')
    for i in (2, 1, 0):
      x = self._conv(x, *path, f'up{i}')
      x = _resize(x, skips[i].shape[2:]) + skips[i]
    return self._conv(x, *path, 'out')

  def _bottleneck(self, x, *path: str, stride: int = 1):
    y = self._conv(x, *path, 'reduce')
    y = self._conv(y, *path, 'conv')
    y = self._conv(y, *path, 'expand', stride=stride, act=False)
    if 'project' in _at(self._params, path):
      x = self._conv(x, *path, 'project', stride=stride)
    return torch.relu(x + y)

  def _conv(self, x, *path: str, stride: int = 1, act: bool = True):
    """Convolution, batch normalisation, ReLU."""
    kernel = _at(self._params, path)['conv']['kernel']
    x = _same(x.to(self._dtype), kernel.shape[-1], stride)
    y = functional.conv2d(x, kernel, stride=stride)
    norm, stats = _at(self._params, path)['bn'], _at(self._stats, path)['bn']
    y = functional.batch_norm(
      y.float(),
      stats['mean'],
      stats['var'],
      norm['scale'].float(),
      norm['bias'].float(),
      eps=_NORM_EPSILON,
    ).to(self._dtype)
    return torch.relu(y) if act else y

  def _plain(self, x, *path: str, padding: int = 0):
    conv = _at(self._params, path)['conv']
    return functional.conv2d(x, conv['kernel'], conv['bias'], padding=padding)


def _whole_discs(widths: tuple[int, ...], largest: float) -> list:
  return [torch.from_numpy(x) for x in discs.full_discs(widths, largest)]


def _tensors(tree: Any, dtype) -> Any:
  def tensor(x):
    x = np.array(x)
    # Kernels [h w in out] become [out in h w].
    x = torch.from_numpy(x.transpose(3, 2, 0, 1) if x.ndim == 4 else x).to(dtype)
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x

  return jax.tree.map(tensor, jax.device_get(tree))


def _at(tree: Any, path: tuple[str, ...]) -> Any:
  for name in path:
    tree = tree[name]
  return tree


def _same(x, kernel: int, stride: int):
  """Zero padding as SAME in XLA: an odd pixel is added below and to the right."""
  sides = []
  for n in reversed(x.shape[2:]):
    total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
    sides += [total // 2, total - total // 2]
  return functional.pad(x, sides) if any(sides) else x


def _symmetric(x, border: int):
  """Symmetric padding, which repeats the edge pixel, unlike the reflect mode of PyTorch."""
  for axis in (2, 3):
    n = x.shape[axis]
    head = x.narrow(axis, 0, border).flip(axis)
    tail = x.narrow(axis, n - border, border).flip(axis)
    x = torch.cat([head, x, tail], axis)
  return x


def _resize(x, size):
  return functional.interpolate(x, size=tuple(size), mode='bilinear', align_corners=False)


def _mix(weights, maps):
  return torch.einsum('bjhw,bjchw->bchw', weights, maps)


def _mixture(radius, knots, table):
  past = ((radius.permute(0, 2, 3, 1) - knots[:-1]) / (knots[1:] - knots[:-1])).clamp(0, 1)
  one, zero = torch.ones_like(past[..., :1]), torch.zeros_like(past[..., :1])
  shares = torch.cat([one, past], -1) - torch.cat([past, zero], -1)
  return (shares @ table).permute(0, 3, 1, 2)


def _within_reach(defocus, radius: float):
  reach = 2 * math.ceil(radius)
  most = defocus.abs()
  for window, border in (((2 * reach + 1, 1), (reach, 0)), ((1, 2 * reach + 1), (0, reach))):
    most = functional.max_pool2d(most, window, stride=1, padding=border)
  return (radius * most).clamp(0, 1)


def _normalised(weights):
  return weights / (weights.sum(1, keepdim=True) + _EPSILON)


def _decoded(x):
  return torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def _encoded(x):
  curved = 1.055 * x.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
  return torch.where(x <= 0.0031308, 12.92 * x, curved)
