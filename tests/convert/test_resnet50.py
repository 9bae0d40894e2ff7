"""The converted ResNet-50 equals the forward pass of torchvision with the same tensors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.convert import resnet50
from depthjax.models.encoders import resnet
from tests.messages import refused


@functools.cache
def _tensors():
  """A random state dict with the names of torchvision, and two tensors of layer4 and fc."""
  rng, tensors = np.random.default_rng(0), {}
  for conv, norm, _, shape in resnet50.layers():
    scale = np.sqrt(1 / np.prod(shape[1:]))
    tensors[f'{conv}.weight'] = scale * rng.standard_normal(shape)
    tensors[f'{norm}.weight'] = 1 + 0.1 * rng.standard_normal(shape[0])
    tensors[f'{norm}.bias'] = 0.1 * rng.standard_normal(shape[0])
    tensors[f'{norm}.running_mean'] = 0.1 * rng.standard_normal(shape[0])
    tensors[f'{norm}.running_var'] = rng.uniform(0.5, 2, shape[0])
    tensors[f'{norm}.num_batches_tracked'] = np.int64(7)
  tensors |= {'layer4.0.conv1.weight': np.zeros((512, 1024, 1, 1)), 'fc.weight': np.zeros((10, 9))}
  return {n: x.astype(np.float32) if x.ndim else x for n, x in tensors.items()}


@functools.cache
def _converted():
  return resnet50.convert(_tensors(), 'file.pth')


def test_exactly_the_encoder_is_converted():
  variables, left = _converted()
  init = functools.partial(resnet.ResNet50().init, train=False)
  expected = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
  shapes = {name: jax.tree.map(np.shape, tree['encoder']) for name, tree in variables.items()}
  assert shapes == jax.tree.map(lambda x: x.shape, dict(expected))
  names = [name for name in left if 'num_batches' not in name]
  assert names == ['fc.weight', 'layer4.0.conv1.weight']


def test_another_network_is_refused():
  tensors = _tensors() | {'bn1.weight': np.ones(32)}
  call = lambda: resnet50.convert(tensors, 'a.pth')  # noqa: E731
  refused(call, 'a.pth: has bn1.weight as [32]; expected [64]')
  tensors.pop('bn1.weight')
  refused(call, "has no tensor 'bn1.weight'", 'ResNet-50')


@pytest.mark.parametrize('stride_on', ['last', 'middle'])
def test_encoder_equals_torchvision(stride_on):
  x = np.random.default_rng(2).standard_normal((2, 64, 48, 3)).astype(np.float32)
  variables = {name: tree['encoder'] for name, tree in _converted()[0].items()}
  apply = jax.jit(functools.partial(resnet.ResNet50(stride_on=stride_on).apply, train=False))
  ours = apply(variables, x)
  theirs = jax.jit(_forward, static_argnums=2)(_tensors(), np.moveaxis(x, -1, 1), stride_on)
  for name, y in theirs.items():
    y = np.moveaxis(y, 1, -1)
    np.testing.assert_allclose(ours[name], y, atol=1e-3 * np.abs(y).max(), err_msg=name)


def _forward(tensors, x, stride_on):
  """torchvision's forward pass from conv1 to layer3, which is dilated instead of strided."""

  def conv_norm(x, conv, norm, stride=1, dilation=1):
    kernel = tensors[f'{conv}.weight']
    padding = [(dilation * (kernel.shape[-1] // 2),) * 2] * 2
    x = jax.lax.conv_general_dilated(x, kernel, [stride] * 2, padding, None, [dilation] * 2)
    fields = ('running_mean', 'running_var', 'weight', 'bias')
    mean, variance, scale, bias = (tensors[f'{norm}.{field}'][:, None, None] for field in fields)
    return (x - mean) / jnp.sqrt(variance + 1e-5) * scale + bias

  features = {'conv1': jax.nn.relu(conv_norm(x, 'conv1', 'bn1', 2))}
  window, strides, padding = (1, 1, 3, 3), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1))
  x = jax.lax.reduce_window(features['conv1'], -jnp.inf, jax.lax.max, window, strides, padding)
  stages = ('layer1', 3, 1, 1), ('layer2', 4, 2, 1), ('layer3', 6, 1, 2)
  for stage, blocks, stride, dilation in stages:
    for i in range(blocks):
      name, step = f'{stage}.{i}', stride if i == 0 else 1
      middle, last = (step, 1) if stride_on == 'middle' else (1, step)
      y = jax.nn.relu(conv_norm(x, f'{name}.conv1', f'{name}.bn1'))
      y = jax.nn.relu(conv_norm(y, f'{name}.conv2', f'{name}.bn2', middle, dilation))
      y = conv_norm(y, f'{name}.conv3', f'{name}.bn3', last)
      if i == 0:
        x = conv_norm(x, f'{name}.downsample.0', f'{name}.downsample.1', step)
      x = jax.nn.relu(x + y)
    features[stage] = x
  return {'conv1': features['conv1'], 'res2': features['layer1'], 'res4': features['layer3']}
