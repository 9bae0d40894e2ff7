"""Published encoders: the mapping against convolutions written out, whole against PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from depthjax.convert import resnet50
from depthjax.files.errors import InputError
from depthjax.models import layers
from depthjax.models.encoders import resnet


@functools.cache
def _tensors(seed=0):
  """A state dict in the names of torchvision with random values, layer4 and fc included."""
  rng = np.random.default_rng(seed)
  tensors = {}

  def put(name, *shape, scale=1.0, offset=0.0):
    value = offset + scale * rng.standard_normal(shape)
    tensors[name] = value.astype(np.float32)

  def conv(name, norm, *shape):
    put(f'{name}.weight', *shape, scale=np.sqrt(1 / np.prod(shape[1:])))
    put(f'{norm}.weight', shape[0], scale=0.1, offset=1)
    put(f'{norm}.bias', shape[0], scale=0.1)
    put(f'{norm}.running_mean', shape[0], scale=0.1)
    tensors[f'{norm}.running_var'] = rng.uniform(0.5, 2, shape[0]).astype(np.float32)
    tensors[f'{norm}.num_batches_tracked'] = np.int64(7)

  conv('conv1', 'bn1', 64, 3, 7, 7)
  before = 64
  for stage, (blocks, middle) in enumerate([(3, 64), (4, 128), (6, 256)], start=1):
    for i in range(blocks):
      name = f'layer{stage}.{i}'
      conv(f'{name}.conv1', f'{name}.bn1', middle, before, 1, 1)
      conv(f'{name}.conv2', f'{name}.bn2', middle, middle, 3, 3)
      conv(f'{name}.conv3', f'{name}.bn3', 4 * middle, middle, 1, 1)
      if i == 0:
        conv(f'{name}.downsample.0', f'{name}.downsample.1', 4 * middle, before, 1, 1)
      before = 4 * middle
  put('layer4.0.conv1.weight', 512, 1024, 1, 1)
  put('fc.weight', 10, 2048)
  return tensors


@functools.cache
def _converted():
  return resnet50.convert(_tensors(), 'file.pth')


def _encoder(collection, *path):
  tree = _converted()[0][collection]['encoder']
  return functools.reduce(lambda tree, name: tree[name], path, tree)


def test_all_of_the_encoder_is_there_and_nothing_else():
  variables, left = _converted()
  model = resnet.ResNet50()
  init = functools.partial(model.init, train=False)
  expected = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
  shapes = {name: jax.tree.map(np.shape, tree['encoder']) for name, tree in variables.items()}
  assert shapes == jax.tree.map(lambda x: x.shape, dict(expected))
  names = [name for name in left if 'num_batches' not in name]
  assert names == ['fc.weight', 'layer4.0.conv1.weight']
  np.testing.assert_array_equal(_encoder('params', 'conv1', 'conv', 'bias'), 0)


def _conv_norm(x, conv, norm, stride=1):
  """A convolution of PyTorch, padded by half its kernel, and its norm, in NumPy: x is [c h w]."""
  tensors = _tensors()
  kernel = tensors[f'{conv}.weight']
  border = kernel.shape[-1] // 2
  x = np.pad(x, ((0, 0), (border, border), (border, border)))
  y = np.stack(
    [
      sum(scipy.signal.correlate2d(a, k, 'valid') for a, k in zip(x, out, strict=True))
      for out in kernel
    ]
  )[:, ::stride, ::stride]
  mean, variance, scale, bias = (
    tensors[f'{norm}.{name}'][:, None, None]
    for name in ('running_mean', 'running_var', 'weight', 'bias')
  )
  return (y - mean) / np.sqrt(variance + 1e-5) * scale + bias


def _nhwc(x):
  return np.moveaxis(x, 0, -1)[None].astype(np.float32)


def test_the_first_convolution_is_that_of_the_state_dict():
  x = np.random.default_rng(1).standard_normal((3, 16, 12))
  conv = layers.ConvNorm(64, 7, 2, bias=True, centred=True)
  variables = {name: _encoder(name, 'conv1') for name in ('params', 'batch_stats')}
  expected = np.maximum(_conv_norm(x, 'conv1', 'bn1', 2), 0)
  result = conv.apply(variables, _nhwc(x), False)
  np.testing.assert_allclose(result, _nhwc(expected), atol=1e-4)


@pytest.mark.parametrize('stride_on', ['last', 'middle'])
def test_a_strided_bottleneck_is_that_of_the_state_dict(stride_on):
  """The first of layer3's predecessor, with its projection; torchvision's is 'middle'."""
  x = np.random.default_rng(1).standard_normal((256, 6, 8))
  block = layers.Bottleneck(512, 128, 2, stride_on=stride_on, project_act=layers.identity)
  variables = {name: _encoder(name, 'res3a') for name in ('params', 'batch_stats')}
  middle, last = (2, 1) if stride_on == 'middle' else (1, 2)
  name = 'layer2.0'
  y = np.maximum(_conv_norm(x, f'{name}.conv1', f'{name}.bn1'), 0)
  y = np.maximum(_conv_norm(y, f'{name}.conv2', f'{name}.bn2', middle), 0)
  y = _conv_norm(y, f'{name}.conv3', f'{name}.bn3', last)
  y = np.maximum(y + _conv_norm(x, f'{name}.downsample.0', f'{name}.downsample.1', 2), 0)
  result = block.apply(variables, _nhwc(x), False)
  np.testing.assert_allclose(result, _nhwc(y), atol=1e-3)


@pytest.mark.parametrize('block, name', [('res2c', 'layer1.2'), ('res4f', 'layer3.5')])
def test_blocks_are_counted_from_a(block, name):
  kernel = _tensors()[f'{name}.conv2.weight']
  ours = _encoder('params', block, 'conv', 'conv', 'kernel')
  np.testing.assert_array_equal(ours[0, 2, 1, :], kernel[:, 1, 0, 2])


@pytest.mark.parametrize(
  'name, value, message',
  [
    ('layer2.3.bn1.running_var', None, "file.pth: has no tensor 'layer2.3.bn1.running_var'"),
    ('bn1.weight', np.ones(32), r"has 'bn1.weight' as \[32\]; expected \[64\]"),
    ('conv1.weight', np.ones((64, 3, 3, 3)), r'as \[64, 3, 3, 3\]; expected \[64, 3, 7, 7\]'),
    ('bn1.bias', np.full(64, np.nan), "holds NaN or infinite values in 'bn1.bias'; expected"),
  ],
)
def test_another_network_is_refused_by_the_tensor(name, value, message):
  tensors = {**_tensors(), name: value}
  if value is None:
    tensors.pop(name)
  with pytest.raises(InputError, match=message):
    resnet50.convert(tensors, 'file.pth')


@pytest.mark.slow
@pytest.mark.parametrize('stride_on', ['last', 'middle'])
def test_the_encoder_is_that_of_pytorch(stride_on):
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
  for layer, blocks, stride, dilation in ((1, 3, 1, 1), (2, 4, 2, 1), (3, 6, 1, 2)):
    for i in range(blocks):
      name, step = f'layer{layer}.{i}', stride if i == 0 else 1
      middle, last = (step, 1) if stride_on == 'middle' else (1, step)
      y = torch.relu(conv_norm(x, f'{name}.conv1', f'{name}.bn1'))
      y = torch.relu(conv_norm(y, f'{name}.conv2', f'{name}.bn2', middle, dilation))
      y = conv_norm(y, f'{name}.conv3', f'{name}.bn3', last)
      if i == 0:
        x = conv_norm(x, f'{name}.downsample.0', f'{name}.downsample.1', step)
      x = torch.relu(x + y)
    features[f'res{layer + 1}'] = x
  return {name: features[name] for name in ('conv1', 'res2', 'res4')}
