"""Aperture supervision: a depth net trained by defocus through the differentiable renderer."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import aperture as aperture_config
from depthjax import tasks
from depthjax.models.deeplens.depthnet import DepthNet
from depthjax.ops import colour, compositional, resize
from depthjax.tasks.task import Env


def _make(env=None, **fields):
  """The task of a small config."""
  config = aperture_config.get_config('smoke')
  small = {'model.width': 4, 'data.height': 32, 'data.width': 32, 'render.radius': 2}
  small |= {'data.pad': 4, 'loss.levels': 4}
  config.update_from_flattened_dict(small | fields)
  return tasks.make(config.lock(), env or Env(lambda f: functools.partial(jax.lax.map, f)))


def _blur(image, disparity):
  """sRGB photographs through the lens; the strength is twice the limit, as at full aperture."""
  options = {'focus': 0.9, 'strength': 8.0, 'limit': 4, 'levels': 4}
  blur = jax.vmap(functools.partial(compositional.composite_blur, **options))
  return colour.linear_to_srgb(jnp.clip(blur(colour.srgb_to_linear(image), disparity), 0, 1))


@pytest.fixture(scope='module', name='inputs')
def fixture_inputs():
  """Two photographs whose left half is near and in focus."""
  image = jnp.float32(np.random.default_rng(0).random((2, 32, 32, 3)))
  disparity = jnp.broadcast_to(jnp.where(jnp.arange(32) < 16, 0.9, 0.1)[:, None], (2, 32, 32, 1))
  lens = {'focus': jnp.full(2, 0.9), 'aperture': jnp.ones(2)}
  return {'image': image, 'target': _blur(image, disparity), 'disparity': disparity, **lens}


@pytest.fixture(scope='module', name='trained')
def fixture_trained(inputs):
  task = _make()
  return task, jax.jit(task.init)(jax.random.key(0), inputs)


def test_the_result_is_the_photograph_blurred_by_the_predicted_disparity(trained, inputs):
  task, variables = trained
  outputs = jax.jit(task.apply)(variables, inputs)
  disparity = outputs['disparity']
  assert disparity.shape == (2, 32, 32, 1) and 0 <= disparity.min() and disparity.max() <= 1
  np.testing.assert_allclose(outputs['high'], _blur(inputs['image'], disparity), atol=1e-4)


def test_a_step_against_the_gradient_reduces_the_loss(trained, inputs):
  task, variables = trained

  @jax.jit
  def loss(params):
    terms, _ = task.loss({**variables, 'params': params}, {}, inputs, None, 0)
    return terms['l1'].mean()

  value, grads = jax.value_and_grad(loss)(variables['params'])
  square = sum(float((g**2).sum()) for g in jax.tree.leaves(grads))
  moved = jax.tree.map(lambda p, g: p - 0.02 * g / square, variables['params'], grads)
  assert loss(moved) < value


@pytest.mark.parametrize('long_side, size', [(0, 32), (16, 16), (64, 64)])
def test_long_side_is_the_input_size_of_the_network(monkeypatch, inputs, long_side, size):
  """The result has the size of the frame."""
  image = resize.photograph(inputs['image'], (size, size))

  def apply(model, variables, found, train):
    np.testing.assert_array_equal(found, image)
    return {'disparity': 4 * found[..., :1] - 2}

  monkeypatch.setattr(DepthNet, 'apply', apply)
  outputs = _make(**{'model.long_side': long_side}).apply({}, inputs)
  assert outputs['high'].shape == (2, 32, 32, 3)
  expected = resize.resample(jax.nn.sigmoid(4 * image[..., :1] - 2), (32, 32))
  np.testing.assert_allclose(outputs['disparity'], expected, atol=1e-6)


@pytest.mark.parametrize(
  'fields, message',
  [
    ({'env': Env(frozen={'predictor': None})}, 'predictor.weights must be empty'),
    ({'data.width': 36}, 'data.width is 36; it must be a multiple of 8'),
    ({'model.long_side': -1}, 'model.long_side is -1; it must be at least 0'),
    ({'loss.levels': 1}, 'loss.levels is 1; it must be at least 2'),
  ],
)
def test_invalid_fields_are_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    _make(**fields)
