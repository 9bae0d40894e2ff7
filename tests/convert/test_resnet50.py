"""The converted ResNet-50: its blocks against NumPy convolutions, all of it against PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from depthjax.convert import resnet50
from depthjax.models import layers
from depthjax.models.encoders import resnet
from tests.messages import refused

# Of torchvision: number of blocks, width and stride.
_STAGES = {'layer1': (3, 64, 1), 'layer2': (4, 128, 2), 'layer3': (6, 256, 2)}


@functools.cache
def _tensors():
  """A random state dict with the names of torchvision, layer4 and fc included."""
  rng, tensors = np.random.default_rng(0), {}

  def conv(name, norm, *shape):
    scale = np.sqrt(1 / np.prod(shape[1:]))
    tensors[f'{name}.weight'] = scale * rng.standard_normal(shape)
    tensors[f'{norm}.weight'] = 1 + 0.1 * rng.standard_normal(shape[0])
    tensors[f'{norm}.bias'] = 0.1 * rng.standard_normal(shape[0])
    tensors[f'{norm}.running_mean'] = 0.1 * rng.standard_normal(shape[0])
    tensors[f'{norm}.running_var'] = rng.uniform(0.5, 2, shape[0])
    tensors[f'{norm}.num_batches_tracked'] = np.int64(7)

  conv('conv1', 'bn1', 64, 3, 7, 7)
  before = 64
  for stage, (blocks, width, _) in _STAGES.items():
    for i in range(blocks):
      name = f'{stage}.{i}'
      conv(f'{name}.conv1', f'{name}.bn1', width, before, 1, 1)
      conv(f'{name}.conv2', f'{name}.bn2', width, width, 3, 3)
      conv(f'{name}.conv3', f'{name}.bn3', 4 * width, width, 1, 1)
      if i == 0:
        conv(f'{name}.downsample.0', f'{name}.downsample.1', 4 * width, before, 1, 1)
      before = 4 * width
  tensors |= {'layer4.0.conv1.weight': np.zeros((512, 1024, 1, 1)), 'fc.weight': np.zeros((10, 9))}
  return {n: x.astype(np.float32) if x.ndim else x for n, x in tensors.items()}


@functools.cache
def _converted():
  return resnet50.convert(_tensors(), 'file.pth')


def _encoder(collection, *path):
  tree = _converted()[0][collection]['encoder']
  return functools.reduce(lambda tree, name: tree[name], path, tree)


def test_exactly_the_encoder_is_converted():
  variables, left = _converted()
  init = functools.partial(resnet.ResNet50().init, train=False)
  expected = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
  shapes = {name: jax.tree.map(np.shape, tree['encoder']) for name, tree in variables.items()}
  assert shapes == jax.tree.map(lambda x: x.shape, dict(expected))
  names = [name for name in left if 'num_batches' not in name]
  assert names == ['fc.weight', 'layer4.0.conv1.weight']
  np.testing.assert_array_equal(_encoder('params', 'conv1', 'conv', 'bias'), 0)


def _conv_norm(x, conv, norm, stride=1):
  """PyTorch's convolution, padded by half the kernel, and batch norm in NumPy: x is [c h w]."""
  tensors = _tensors()
  kernel = tensors[f'{conv}.weight']
  pad = kernel.shape[-1] // 2
  x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
  correlate = functools.partial(scipy.signal.correlate2d, mode='valid')
  y = np.stack([sum(map(correlate, x, channel)) for channel in kernel])[:, ::stride, ::stride]
  fields = ('running_mean', 'running_var', 'weight', 'bias')
  mean, variance, scale, bias = (tensors[f'{norm}.{name}'][:, None, None] for name in fields)
  return (y - mean) / np.sqrt(variance + 1e-5) * scale + bias


def _assert_module_equals(module, name, x, expected):
  variables = {collection: _encoder(collection, name) for collection in ('params', 'batch_stats')}
  nhwc = lambda x: np.moveaxis(x, 0, -1)[None].astype(np.float32)  # noqa: E731
  np.testing.assert_allclose(module.apply(variables, nhwc(x), False), nhwc(expected), atol=1e-3)


def test_first_convolution_equals_numpy():
  x = np.random.default_rng(1).standard_normal((3, 16, 12))
  module = layers.ConvNorm(64, 7, 2, bias=True, centred=True)
  _assert_module_equals(module, 'conv1', x, np.maximum(_conv_norm(x, 'conv1', 'bn1', 2), 0))


@pytest.mark.parametrize('stride_on, middle, last', [('middle', 2, 1), ('last', 1, 2)])
def test_strided_bottleneck_equals_numpy(stride_on, middle, last):
  x = np.random.default_rng(1).standard_normal((256, 6, 8))
  block = layers.Bottleneck(512, 128, 2, stride_on=stride_on, project_act=jax.nn.identity)
  y = np.maximum(_conv_norm(x, 'layer2.0.conv1', 'layer2.0.bn1'), 0)
  y = np.maximum(_conv_norm(y, 'layer2.0.conv2', 'layer2.0.bn2', middle), 0)
  y = _conv_norm(y, 'layer2.0.conv3', 'layer2.0.bn3', last)
  y += _conv_norm(x, 'layer2.0.downsample.0', 'layer2.0.downsample.1', 2)
  _assert_module_equals(block, 'res3a', x, np.maximum(y, 0))


@pytest.mark.parametrize('block, name', [('res2c', 'layer1.2'), ('res4f', 'layer3.5')])
def test_blocks_are_in_order(block, name):
  kernel = _tensors()[f'{name}.conv2.weight']
  ours = _encoder('params', block, 'conv', 'conv', 'kernel')
  np.testing.assert_array_equal(ours[0, 2, 1, :], kernel[:, 1, 0, 2])


def test_another_network_is_refused():
  tensors = _tensors() | {'bn1.weight': np.ones(32)}
  call = lambda: resnet50.convert(tensors, 'a.pth')  # noqa: E731
  refused(call, 'a.pth: has bn1.weight as [32]; expected [64]')
  tensors.pop('bn1.weight')
  refused(call, "has no tensor 'bn1.weight'", 'ResNet-50')


@pytest.mark.slow
@pytest.mark.parametrize('stride_on', ['last', 'middle'])
def test_encoder_equals_pytorch(stride_on):
  torch = pytest.importorskip('torch', reason="torch is in the extra 'parity'")
  x = np.random.default_rng(2).standard_normal((2, 64, 48, 3)).astype(np.float32)
  variables = {name: tree['encoder'] for name, tree in _converted()[0].items()}
  apply = jax.jit(functools.partial(resnet.ResNet50(stride_on=stride_on).apply, train=False))
  ours = apply(variables, x)
  with torch.no_grad():
    theirs = _torch_encoder(torch, torch.tensor(np.moveaxis(x, -1, 1).copy()), stride_on)
  for name, y in theirs.items():
    y = np.moveaxis(y.numpy(), 1, -1)
    np.testing.assert_allclose(ours[name], y, atol=1e-3 * np.abs(y).max(), err_msg=name)


def _torch_encoder(torch, x, stride_on):
  """torchvision's forward pass from conv1 to layer3, which is dilated instead of strided."""
  tensors = {name: torch.tensor(value) for name, value in _tensors().items()}
  functional = torch.nn.functional

  def conv_norm(x, conv, norm, stride=1, dilation=1):
    kernel = tensors[f'{conv}.weight']
    padding = dilation * (kernel.shape[-1] // 2)
    x = functional.conv2d(x, kernel, stride=stride, padding=padding, dilation=dilation)
    fields = ('running_mean', 'running_var', 'weight', 'bias')
    return functional.batch_norm(x, *(tensors[f'{norm}.{field}'] for field in fields), eps=1e-5)

  features = {'conv1': torch.relu(conv_norm(x, 'conv1', 'bn1', 2))}
  x = functional.max_pool2d(features['conv1'], 3, 2, 1)
  for stage, (blocks, _, stride) in _STAGES.items():
    stride, dilation = (1, 2) if stage == 'layer3' else (stride, 1)
    for i in range(blocks):
      name, step = f'{stage}.{i}', stride if i == 0 else 1
      middle, last = (step, 1) if stride_on == 'middle' else (1, step)
      y = torch.relu(conv_norm(x, f'{name}.conv1', f'{name}.bn1'))
      y = torch.relu(conv_norm(y, f'{name}.conv2', f'{name}.bn2', middle, dilation))
      y = conv_norm(y, f'{name}.conv3', f'{name}.bn3', last)
      if i == 0:
        x = conv_norm(x, f'{name}.downsample.0', f'{name}.downsample.1', step)
      x = torch.relu(x + y)
    features[stage] = x
  return {'conv1': features['conv1'], 'res2': features['layer1'], 'res4': features['layer3']}
