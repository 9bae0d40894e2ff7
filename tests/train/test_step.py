"""The train step on a linear model with known gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from depthjax import parallel
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


_TASK = _line()


def _state():
  key = experiment_lib.seed_key(0)
  return step_lib.init_state(key, task=_TASK, tx=_TX, inputs=_batch())


def _gradients(rates=(('.*', 1.0),), parts=1, task=_TASK):
  trained = functools.partial(optimizer.trained, learning_rate_factors=rates)
  return step_lib.accumulate(
    functools.partial(step_lib.gradients, task=task, trained=trained), parts
  )


def _step(decay=0.9, parts=1):
  grads = _gradients(parts=parts)
  step = functools.partial(step_lib.train_step, gradients=grads, optimizer=lambda hyper: _TX)
  return jax.jit(lambda state, batch: step(state, {}, {'ema': decay}, batch))


def test_the_loss_receives_the_step_and_the_frozen_networks():
  def loss(variables, frozen, inputs, key, step):
    return {'sum': variables['params']['w'] * (step + frozen['net'])}, {'stats': variables['stats']}

  task, state = _TASK._replace(loss=loss), _state().replace(step=jnp.int32(7))
  found, *_ = _gradients(task=task)(state, {'net': 10.0}, _batch())
  assert found['w'] == 17


@pytest.mark.parametrize('parts', [1, 2, 4])
def test_an_update_equals_the_analytic_gradient_of_the_mean_loss(parts):
  """With any number of microbatches."""
  batch = _batch()
  state, scalars = _step(parts=parts)(_state(), batch)
  residual = batch['x'] - batch['y']
  np.testing.assert_allclose(scalars['loss'], np.mean(residual**2), rtol=1e-5)
  np.testing.assert_allclose(state.params['b'], -_RATE * 2 * residual.mean(), rtol=1e-5)
  slope = 2 * (residual * batch['x']).mean()
  np.testing.assert_allclose(state.params['w'], 1 - _RATE * slope, rtol=1e-5)
  if parts == 1:
    mean = state.model_state['stats']['mean']
    np.testing.assert_allclose(mean, 0.1 * batch['x'].mean(), rtol=1e-5)
  assert state.step == 1


def test_the_moving_average_includes_parameters_and_statistics():
  batch, state, step = _batch(), _state(), _step(decay=0.5)
  expected = np.array([state.params['w'], state.model_state['stats']['mean']])
  for k in range(3):
    state, _ = step(state, batch)
    keep = min(0.5, (1 + k) / (10 + k))
    newest = np.array([state.params['w'], state.model_state['stats']['mean']])
    expected = keep * expected + (1 - keep) * newest
  average = np.array([state.ema['params']['w'], state.ema['stats']['mean']])
  np.testing.assert_allclose(average, expected, rtol=1e-6)
  assert np.all(np.abs(average - newest) > 1e-3)


def test_the_state_is_frozen_after_a_loss_that_is_not_finite():
  step = _step()
  good, _ = step(_state(), _batch())
  bad, scalars = step(good, {**_batch(), 'y': np.full(8, np.nan, np.float32)})
  later, _ = step(bad, _batch(seed=1))
  assert not np.isfinite(scalars['loss']) and not scalars['finite'] and not later.finite
  for name in ('step', 'params', 'ema', 'model_state', 'opt'):
    jax.tree.map(np.testing.assert_array_equal, getattr(later, name), getattr(good, name))


def test_an_update_that_is_not_finite_is_not_applied():
  """The loss and its gradient are."""
  step = functools.partial(
    step_lib.train_step, gradients=_gradients(), optimizer=lambda hyper: optax.scale(jnp.inf)
  )
  state, scalars = step(_state(), {}, {'ema': 0.9}, _batch())
  assert np.isfinite([scalars['loss'], scalars['grad_norm']]).all() and not scalars['finite']
  jax.tree.map(np.testing.assert_array_equal, state.params, _state().params)


@pytest.mark.parametrize('parts', [1, 4])
def test_untrained_parameters_do_not_change_and_are_not_in_the_gradient_norm(parts):
  batch, rates = _batch(), (('w', 0.0), ('.*', 1.0))
  grads = _gradients(rates, parts)
  step = functools.partial(step_lib.train_step, gradients=grads, optimizer=lambda hyper: _TX)
  state, scalars = jax.jit(step)(_state(), {}, {'ema': 0.9}, batch)
  slope = 2 * (batch['x'] - batch['y']).mean()
  np.testing.assert_allclose(scalars['grad_norm'], abs(slope), rtol=1e-5)
  assert state.params['w'] == 1 and state.params['b'] != 0


@pytest.mark.parametrize('mode, parts', [('jit', 4), ('pmap', 1)])
def test_frozen_arrays_stay_exactly_the_same(mode, parts):
  """The mean of equal numbers over devices, and of a number with itself, would be rounded."""
  grads = parallel.averaged(_gradients((('.*', 0.0),), parts), mode)
  step = functools.partial(step_lib.train_step, gradients=grads, optimizer=lambda hyper: _TX)
  start = _state().replace(model_state={'stats': {'mean': jnp.linspace(0.1, 0.9, 99)}})
  start = start.replace(ema={'params': start.params, **start.model_state})
  batch = _batch()
  if mode == 'pmap':
    step = jax.pmap(step, axis_name='batch', in_axes=(None, None, None, 0), out_axes=None)
    batch = jax.tree.map(lambda x: x[:, None], batch)
  state = start
  for _ in range(3):
    state, scalars = (step if mode == 'pmap' else jax.jit(step))(state, {}, {'ema': 0.9}, batch)
  assert scalars['grad_norm'] == 0 and state.step == 3
  for name in ('params', 'model_state', 'ema'):
    jax.tree.map(np.testing.assert_array_equal, getattr(state, name), getattr(start, name))


def test_statistics_are_trained_if_parameters_of_their_module_are():
  params = {'body': {'bn': {'scale': 1}, 'plain': {'kernel': 1}}, 'head': {'bn': {'scale': 1}}}
  state = {'batch_stats': {'body': {'bn': {'mean': 0}, 'plain': {'free': {'mean': 0}}}}}
  state['batch_stats']['head'] = {'bn': {'mean': 0}}
  for rate, expected in (('body', [False, False, True]), ('kernel', [True, False, True])):
    _, own = optimizer.trained(params, state, learning_rate_factors=((rate, 0.0), ('.*', 1.0)))
    assert jax.tree.leaves(own) == expected


def test_frozen_first_layers_need_no_backward_pass():
  flops, batch = [], experiment_lib.placeholder_batch(tiny.config())
  for rates in ((('.*', 1.0),), (('down', 0.0), ('.*', 1.0))):
    config = tiny.config(parallel__devices=1, optimizer__learning_rate_factors=rates)
    experiment = experiment_lib.build(config)
    jaxpr = experiment.runner.step.trace(
      experiment.runner.abstract, {}, experiment.hyper, batch
    ).jaxpr
    flops.append(sum(work.work(jaxpr).matrix.values()))
  assert flops[1] < 0.9 * flops[0]


@pytest.mark.parametrize('mode', ['jit', pytest.param('pmap', marks=pytest.mark.slow)])
def test_numbers_of_the_optimiser_are_not_part_of_the_program(mode):
  """Nor is the seed: runs that differ only in them share a compiled step."""
  fields = {'peak': 0.3, 'end': 0.02, 'warmup': 2, 'power': 3.0, 'beta1': 0.7, 'beta2': 0.8}
  fields = {f'optimizer__{name}': value for name, value in (fields | {'clip': 0}).items()}
  texts, batch = [], None
  for other in ({}, {'seed': 3, 'steps': 9, 'ema': 0.5, 'optimizer__weight_decay': 0.2, **fields}):
    experiment = experiment_lib.build(
      tiny.config(**{'parallel__mode': mode, 'optimizer__weight_decay': 0.1, **other})
    )
    if batch is None:
      batch = experiment.runner.put(next(experiment.batches('train', 0)))
    state = experiment.runner.abstract
    texts.append(experiment.runner.step.lower(state, {}, experiment.hyper, batch).as_text())
  assert texts[0] == texts[1]
