"""The train step on a linear model with known gradients."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from depthjax.plan import work
from depthjax.tasks.task import Task
from depthjax.train import experiment as experiment_lib
from depthjax.train import optimizer
from depthjax.train import step as step_lib
from tests import tiny

_RATE = 0.1
_TX = optax.sgd(_RATE)


def _line() -> Task:
  """y = w x + b with squared error; the model state is a running mean of x."""

  def apply(variables, inputs):
    return variables['params']['w'] * inputs['x'] + variables['params']['b']

  def loss(variables, frozen, inputs, key, step):
    mean = 0.9 * variables['stats']['mean'] + 0.1 * inputs['x'].mean()
    squared = (apply(variables, inputs) - inputs['y']) ** 2
    return {'squared': squared}, {'stats': {'mean': mean}}

  def init(key, inputs):
    params = {'w': jnp.ones(()), 'b': jnp.zeros(())}
    return {'params': params, 'stats': {'mean': jnp.zeros(())}}

  nothing = lambda *_: {}  # noqa: E731
  return Task(init, apply, lambda frozen, batch: batch, loss, nothing, nothing)


def _batch(seed=0):
  x = np.random.default_rng(seed).normal(size=8).astype(np.float32)
  return {'x': x, 'y': 3 * x + 1}


def _state(task):
  key = jax.random.key_data(jax.random.key(0))
  return step_lib.init_state(key, task=task, tx=_TX, inputs=_batch())


def _step(task, decay=0.9, parts=1):
  grads = step_lib.accumulate(functools.partial(step_lib.gradients, task=task), parts)
  return jax.jit(lambda s, b: step_lib.train_step(s, {}, b, gradients=grads, tx=_TX, decay=decay))


def test_the_loss_receives_the_step_and_the_frozen_networks():
  def loss(variables, frozen, inputs, key, step):
    return {'sum': variables['params']['w'] * (step + frozen['net'])}, {'stats': variables['stats']}

  grads = functools.partial(step_lib.gradients, task=_line()._replace(loss=loss))
  state = _state(_line()).replace(step=jnp.int32(7))
  found, *_ = grads(state, {'net': 10.0}, _batch())
  assert found['w'] == 17


def test_an_update_equals_the_analytic_gradient_of_the_mean_loss():
  task, batch = _line(), _batch()
  state, scalars = _step(task)(_state(task), batch)
  residual = batch['x'] - batch['y']
  np.testing.assert_allclose(scalars['loss'], np.mean(residual**2), rtol=1e-5)
  np.testing.assert_allclose(state.params['b'], -_RATE * 2 * residual.mean(), rtol=1e-5)
  np.testing.assert_allclose(state.model_state['stats']['mean'], 0.1 * batch['x'].mean(), rtol=1e-5)
  assert state.step == 1


def test_the_moving_average_includes_parameters_and_statistics():
  task, batch = _line(), _batch()
  state, step = _state(task), _step(task, decay=0.5)
  expected = np.array([state.params['w'], state.model_state['stats']['mean']])
  for k in range(3):
    state, _ = step(state, batch)
    keep = min(0.5, (1 + k) / (10 + k))
    newest = np.array([state.params['w'], state.model_state['stats']['mean']])
    expected = keep * expected + (1 - keep) * newest
  average = np.array([state.ema['params']['w'], state.ema['stats']['mean']])
  np.testing.assert_allclose(average, expected, rtol=1e-6)
  assert np.all(np.abs(average - newest) > 1e-3)


@pytest.mark.parametrize('parts', [2, 4])
def test_microbatches_give_the_gradients_of_the_batch(parts):
  task, batch = _line(), _batch()
  full, scalars = _step(task)(_state(task), batch)
  split, scalars_split = _step(task, parts=parts)(_state(task), batch)
  np.testing.assert_allclose(split.params['w'], full.params['w'], rtol=1e-5)
  np.testing.assert_allclose(scalars_split['loss'], scalars['loss'], rtol=1e-5)


def test_the_state_is_frozen_after_a_loss_that_is_not_finite():
  task, step = _line(), _step(_line())
  good, _ = step(_state(task), _batch())
  bad_batch = {**_batch(), 'y': np.full(8, np.nan, np.float32)}
  bad, scalars = step(good, bad_batch)
  later, _ = step(bad, _batch(seed=1))
  assert not np.isfinite(scalars['loss']) and not later.finite
  for name in ('step', 'params', 'ema', 'model_state', 'opt'):
    jax.tree.map(np.testing.assert_array_equal, getattr(later, name), getattr(good, name))


def test_untrained_parameters_do_not_change_and_are_not_in_the_gradient_norm():
  task, batch = _line(), _batch()
  rates = (('w', 0.0), ('.*', 1.0))
  trained = functools.partial(optimizer.trained, learning_rate_factors=rates)
  grads = functools.partial(step_lib.gradients, task=task, trained=trained)
  step = functools.partial(step_lib.train_step, gradients=grads, tx=_TX, decay=0.9)
  state, scalars = jax.jit(step)(_state(task), {}, batch)
  slope = 2 * (batch['x'] - batch['y']).mean()
  np.testing.assert_allclose(scalars['grad_norm'], abs(slope), rtol=1e-5)
  assert state.params['w'] == 1 and state.params['b'] != 0
  for parts in (1, 4):
    accumulated = step_lib.accumulate(grads, parts, trained=trained)
    found = jax.eval_shape(accumulated, _state(task), {}, batch)[0]
    assert found['w'] is None and found['b'].shape == ()


def test_statistics_are_trained_if_parameters_of_their_module_are():
  params = {'body': {'bn': {'scale': 1}, 'plain': {'kernel': 1}}, 'head': {'bn': {'scale': 1}}}
  state = {'batch_stats': {'body': {'bn': {'mean': 0}, 'plain': {'free': {'mean': 0}}}}}
  state['batch_stats']['head'] = {'bn': {'mean': 0}}
  for rate, expected in (('body', [False, False, True]), ('kernel', [True, False, True])):
    _, own = optimizer.trained(params, state, learning_rate_factors=((rate, 0.0), ('.*', 1.0)))
    assert jax.tree.leaves(own) == expected


def test_frozen_first_layers_need_no_backward_pass_and_keep_their_statistics():
  flops, batch = [], experiment_lib.placeholder_batch(tiny.config())
  for rates in ((('.*', 1.0),), (('down', 0.0), ('.*', 1.0))):
    experiment = experiment_lib.build(
      tiny.config(parallel__devices=1, optimizer__learning_rate_factors=rates)
    )
    runner = experiment.runner
    jaxpr = runner.step.trace(runner.abstract, {}, batch).jaxpr
    flops.append(sum(work.work(jaxpr).matrix.values()))
  assert flops[1] < 0.9 * flops[0]
  state = runner.init(experiment_lib.seed_key(0))
  before = jax.device_get(state.model_state['batch_stats'])
  with contextlib.closing(experiment.feed(0)) as batches:
    state, _ = runner.step(state, {}, next(batches))
  after = jax.device_get(state.model_state['batch_stats'])
  for name, stats in before.items():
    changed = [
      (a != b).any() for a, b in zip(*map(jax.tree.leaves, (stats, after[name])), strict=True)
    ]
    assert any(changed) == (not name.startswith('down')), name
