"""The refinement network against an independent PyTorch twin, with random parameters."""

import functools
import importlib
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.convert import sddr as convert
from depthjax.models.refinement.fusenet import FuseNet


@pytest.fixture(scope='module', name='twin')
def fixture_twin():
  pytest.importorskip('torch', reason="torch is in the extra 'parity'")
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(pathlib.Path(__file__).parents[3] / 'benchmarks'))
    yield importlib.import_module('sddr_twin')


def _pair(twin, seed, shape):
  """The twin, our variables of its weights, and two maps: for it and for our network."""
  net = twin.random(seed)
  weights = {name: x.numpy() for name, x in net.state_dict().items()}
  maps = np.random.default_rng(seed).random((2, 2, *shape, 1), np.float32)
  tensors = twin.torch.tensor(np.moveaxis(maps, -1, 2).copy())  # Contiguous.
  return net, convert.convert(weights, 'twin'), tensors, maps


@pytest.mark.slow
@pytest.mark.parametrize('shape', [(128, 128), (256, 128)])
def test_all_outputs_equal_the_twin(twin, shape):
  apply = jax.jit(FuseNet().apply)
  for seed in range(3):
    net, variables, tensors, maps = _pair(twin, seed, shape)
    ours, theirs = apply(variables, *maps), net(*tensors)
    assert ours.keys() == theirs.keys()
    for name, x in theirs.items():
      x = np.moveaxis(x.numpy(), 1, -1)
      assert x.std() > 0.1, 'nearly constant, so the comparison is weak'
      np.testing.assert_allclose(ours[name], x, atol=1e-4 * np.abs(x).max(), err_msg=name)


@pytest.mark.slow
def test_gradients_equal_the_twin(twin):
  # With a single key in an attention, its queries would have no gradient.
  net, variables, tensors, maps = _pair(twin, 0, (256, 128))
  net.requires_grad_(True)
  theirs = net(*tensors)
  rng = np.random.default_rng(3)
  weights = {name: rng.standard_normal(x.shape, np.float32) for name, x in theirs.items()}
  sum((x * twin.torch.tensor(weights[name])).sum() for name, x in theirs.items()).backward()

  @jax.jit
  def gradients(variables, low, high):
    def total(variables):
      outputs = FuseNet().apply(variables, low, high)
      return sum((x * jnp.moveaxis(weights[name], 1, -1)).sum() for name, x in outputs.items())

    return jax.grad(total)(variables)

  ours = convert.to_state_dict(jax.device_get(gradients(variables, *maps)))
  expected = {name: x.grad.numpy() for name, x in net.named_parameters()}
  assert expected.keys() <= ours.keys()
  sizes = {name: np.abs(x).max() for name, x in expected.items()}
  # The gradients of the keys' biases are rounding errors: the softmax does not depend on them.
  least = 1e-4 * max(sizes.values())
  for name, x in expected.items():
    atol = 1e-3 * max(sizes[name], least)
    np.testing.assert_allclose(ours[name], x, atol=atol, err_msg=name)


def test_inference_has_no_side_outputs_nor_their_parameters():
  x = jax.ShapeDtypeStruct((1, 128, 128, 1), jnp.float32)
  init = functools.partial(FuseNet().init_with_output, side_outputs=False)
  outputs, variables = jax.eval_shape(init, jax.random.key(0), x, x)
  assert outputs.keys() == {'fusion', 'mask_half', 'mask_quarter'}
  assert not [name for name in variables['params']['decoder'] if name.startswith('mid_out')]
