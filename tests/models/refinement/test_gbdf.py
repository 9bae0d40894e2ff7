"""The network of gradient-based fusion: size, outputs, and a PyTorch twin."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.models.refinement import gbdf

_TINY = {'levels': 4, 'width': 8}


@functools.cache
def _tiny():
  """Variables of a tiny network with noise on them, and two maps."""
  rng = np.random.default_rng(0)
  low, high = rng.random((2, 2, 32, 48, 1)).astype(np.float32)
  variables = jax.jit(gbdf.GradientFusion(**_TINY).init)(jax.random.key(0), low, high)
  noisy = lambda x: np.asarray(x) + rng.normal(0, 0.3, x.shape).astype(np.float32)  # noqa: E731
  return jax.tree.map(noisy, variables), low, high


@functools.cache
def _apply(**fields):
  return jax.jit(gbdf.GradientFusion(**_TINY, **fields).apply, static_argnames='side_outputs')


@functools.cache
def _outputs():
  return jax.device_get(_apply()(*_tiny()))


def test_the_network_has_the_published_number_of_parameters():
  """201.37 M, and without the norms 201.339 M."""
  x = jnp.zeros((1, 1024, 1024, 1))
  shapes = jax.eval_shape(gbdf.GradientFusion().init, jax.random.key(0), x, x)
  leaves = jax.tree_util.tree_leaves_with_path(shapes)
  assert sum(x.size for _, x in leaves) == 201_371_661
  assert sum(x.size for path, x in leaves if 'norm' not in str(path)) == 201_338_829


def test_outputs_are_float32_of_three_sizes_or_the_result_only():
  sizes = {'fusion': (32, 48), 'half': (16, 24), 'quarter': (8, 12)}
  assert {name: x.shape for name, x in _outputs().items()} == {x: (2, *sizes[x], 1) for x in sizes}
  assert all(x.dtype == np.float32 for x in _outputs().values())
  alone = _apply()(*_tiny(), side_outputs=False)
  assert list(alone) == ['fusion']
  np.testing.assert_array_equal(alone['fusion'], _outputs()['fusion'])


def test_examples_are_independent_and_the_result_depends_on_both_inputs_and_their_order():
  variables, low, high = _tiny()
  swapped = _apply()(variables, low[::-1], high[::-1])['fusion']
  np.testing.assert_allclose(swapped[::-1], _outputs()['fusion'], atol=1e-5)
  for inputs in ((high, low), (low, low), (high, high)):
    fusion = _apply()(variables, *inputs)['fusion']
    assert np.abs(fusion - _outputs()['fusion']).max() > 1e-2


@pytest.mark.slow
def test_rematerialisation_changes_no_result():
  np.testing.assert_allclose(_apply(remat=True)(*_tiny())['half'], _outputs()['half'], atol=1e-5)


@pytest.mark.parametrize('levels, shape', [(2, (32, 32)), (4, (32, 40)), (4, (24, 32))])
def test_invalid_levels_and_sizes_are_refused(levels, shape):
  x = jnp.zeros((1, *shape, 1))
  with pytest.raises(ValueError, match='at least 3, and height and width multiples of'):
    jax.eval_shape(gbdf.GradientFusion(levels, 4).init, jax.random.key(0), x, x)


def test_outputs_equal_a_pytorch_twin():
  torch = pytest.importorskip('torch', reason="torch is in the extra 'parity'")
  F = torch.nn.functional
  variables, low, high = _tiny()
  params = jax.tree.map(lambda x: torch.from_numpy(np.array(x)), variables['params'])
  low, high = (torch.from_numpy(x).movedim(-1, 1) * 2 - 1 for x in (low, high))

  def conv(x, p, stride=1):
    kernel = p['kernel'].permute(3, 2, 0, 1)
    padding = (kernel.shape[-1] // 2,) * 4
    return F.conv2d(F.pad(x, padding, 'replicate'), kernel, p['bias'], stride)

  def norm(x, p, groups):
    return F.group_norm(x, groups, p['scale'], p['bias'])

  def up(x, name, groups):
    x = norm(x, params[name]['norm'], groups)
    x = F.interpolate(x, scale_factor=2, mode='bicubic', align_corners=True)
    return conv(x, params[name]['conv']['conv'])

  def features(x):
    found = []
    for i, groups in enumerate((1, 1, 4, 8)):
      p = params[f'encoder_{i}']
      x = norm(conv(F.leaky_relu(x) if i else x, p['conv'], 2), p['norm'], groups)
      found.append(x)
    return found

  both = zip(features(low), features(conv(high, params['grad']['conv'])), strict=True)
  skips = [a + b for a, b in both]
  x = F.leaky_relu(up(skips[3], 'decoder_0', 8))
  x = (skips[2] + x) / 2
  expected = {'quarter': up(x, 'mid_out_quarter', 2)}
  x = (skips[1] + F.leaky_relu(up(x, 'decoder_1', 4))) / 2
  expected['half'] = up(x, 'mid_out_half', 1)
  x = (skips[0] + F.leaky_relu(up(x, 'decoder_2', 1))) / 2
  expected['fusion'] = up(x, 'decoder_3', 1)
  for name, y in expected.items():
    ours = 2 * _outputs()[name] - 1
    np.testing.assert_allclose(ours, y.movedim(1, -1).numpy(), atol=2e-4)
    assert np.std(ours) > 0.05
