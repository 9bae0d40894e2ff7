"""Aperture supervision: a depth net learns disparity from blur alone, through the renderer."""

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


def _config(**fields):
  config = aperture_config.get_config('smoke')
  small = {'model.width': 4, 'data.height': 32, 'data.width': 32, 'render.radius': 2}
  small |= {'data.pad': 4, 'loss.levels': 4}
  config.update_from_flattened_dict(small | fields)
  return config.lock()


def _each(function):
  return functools.partial(jax.lax.map, function)


def _inputs():
  """Photographs, and what a lens makes of them if their left half is near and in focus."""
  rng = np.random.default_rng(0)
  image = jnp.float32(rng.random((2, 32, 32, 3)))
  disparity = jnp.broadcast_to(jnp.where(jnp.arange(32) < 16, 0.9, 0.1)[:, None], (2, 32, 32, 1))
  lens = {'focus': jnp.full(2, 0.9), 'aperture': jnp.ones(2)}
  blur = jax.vmap(
    lambda x, d: compositional.composite_blur(
      colour.srgb_to_linear(x), d, focus=0.9, strength=8.0, limit=4, levels=4
    )
  )
  target = colour.linear_to_srgb(jnp.clip(blur(image, disparity), 0, 1))
  return {'image': image, 'target': target, 'disparity': disparity, **lens}


@functools.cache
def _task():
  task = tasks.make(_config(), Env(_each))
  inputs = _inputs()
  return task, jax.jit(task.init)(jax.random.key(0), inputs), inputs


def test_the_picture_is_the_photograph_blurred_by_what_was_predicted():
  task, variables, inputs = _task()
  outputs = jax.jit(task.apply)(variables, inputs)
  assert outputs['high'].shape == (2, 32, 32, 3) and outputs['disparity'].shape == (2, 32, 32, 1)
  assert 0 <= outputs['disparity'].min() and outputs['disparity'].max() <= 1
  expected = compositional.composite_blur(
    colour.srgb_to_linear(inputs['image'][0]),
    outputs['disparity'][0],
    focus=0.9,
    strength=8.0,  # Twice the radius of 4 over the range of disparity.
    limit=4,
    levels=4,
  )
  expected = colour.linear_to_srgb(jnp.clip(expected, 0, 1))
  np.testing.assert_allclose(outputs['high'][0], expected, atol=1e-4)


def test_the_picture_alone_teaches_the_network():
  task, variables, inputs = _task()

  @jax.jit
  def loss(params):
    terms, _ = task.loss({**variables, 'params': params}, {}, inputs, None, 0)
    return terms['l1'].mean()

  value, grads = jax.value_and_grad(loss)(variables['params'])
  norm = sum(float((g**2).sum()) for g in jax.tree.leaves(grads)) ** 0.5
  assert np.isfinite(norm) and norm > 0
  step = 0.02 / norm
  moved = jax.tree.map(lambda p, g: p - step * g / norm, variables['params'], grads)
  assert loss(moved) < value


def test_a_depth_net_that_predicts_for_another_is_refused():
  with pytest.raises(ValueError, match='predictor.weights must be empty'):
    tasks.aperture.make(_config(), Env(frozen={'predictor': None}))


def test_a_frame_the_network_cannot_take_is_refused():
  with pytest.raises(ValueError, match='data.width is 36; it must be a multiple of 8'):
    tasks.make(_config(**{'data.width': 36}), Env(_each))


@pytest.mark.parametrize('long_side, shown', [(0, 32), (32, 32), (16, 16), (64, 64)])
def test_the_network_is_shown_the_frame_at_its_own_size(monkeypatch, long_side, shown):
  """And the frame is blurred as it is, by what was predicted."""
  seen, inputs = [], _inputs()

  def apply(model, variables, image, train):
    seen.append(image)
    return {'disparity': 4 * image[..., :1] - 2}

  monkeypatch.setattr(DepthNet, 'apply', apply)
  task = tasks.make(_config(**{'model.long_side': long_side}), Env(_each))
  outputs = task.apply({}, inputs)
  (image,) = seen
  assert image.shape == (2, shown, shown, 3)
  np.testing.assert_array_equal(image, resize.photograph(inputs['image'], (shown, shown)))
  assert outputs['disparity'].shape == (2, 32, 32, 1) and outputs['high'].shape == (2, 32, 32, 3)
  expected = resize.resample(jax.nn.sigmoid(4 * image[..., :1] - 2), (32, 32))
  np.testing.assert_allclose(outputs['disparity'], expected, atol=1e-6)


def test_a_size_that_cannot_be_is_refused():
  with pytest.raises(ValueError, match='model.long_side is -1; it must be at least 0'):
    tasks.make(_config(**{'model.long_side': -1}), Env(_each))
