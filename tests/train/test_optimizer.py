"""Optimisers against those of optax, learning-rate schedules, and rules for parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from depthjax import configuring
from depthjax.train import optimizer

_STEPS = 20


def _config(steps=_STEPS, **fields):
  config = configuring.defaults()
  config.steps = steps
  config.optimizer.update(
    {'peak': 0.1, 'end': 0.01, 'clip': 0.0, 'beta1': 0.8, 'beta2': 0.95, **fields}
  )
  return config


def _params():
  rng = np.random.default_rng(0)
  shapes = {'kernel': (3, 2), 'bias': (2,)}
  return {
    name: {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    for name in ('body', 'head')
  }


def _grads(seed):
  rng = np.random.default_rng(100 + seed)
  return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), _params())


def _updated(tx, params, grads):
  """Parameters after one update per gradient, and the state of the optimiser."""
  state, update = tx.init(params), jax.jit(tx.update)
  for grad in grads:
    updates, state = update(grad, state, params)
    params = optax.apply_updates(params, updates)
  return jax.device_get(params), state


def _trained(config, grads):
  tx = optimizer.make(config.optimizer, optimizer.hyper(config))
  return _updated(tx, _params(), grads)


def _schedule(config):
  return optimizer.schedule(config.optimizer.schedule, optimizer.hyper(config))


def _moments(state, size):
  """The arrays of the state with a given shape."""
  return [x for x in jax.tree.leaves(state) if np.shape(x) == size]


def test_factors_by_rule_scale_the_learning_rates_and_weight_decays_of_adamw():
  config = _config(
    weight_decay=0.3,
    weight_decay_factors=(('head/kernel', 2.0), ('kernel', 1.0), ('.*', 0.0)),
    learning_rate_factors=(('head', 0.5), ('.*', 1.0)),
    warmup=2,
  )
  grads = [_grads(k) for k in range(4)]
  result, _ = _trained(config, grads)
  schedule, rates = _schedule(config), {'body': 1.0, 'head': 0.5}
  decays = {'body': {'kernel': 1.0, 'bias': 0.0}, 'head': {'kernel': 2.0, 'bias': 0.0}}
  for net, rate in rates.items():
    for name, decay in decays[net].items():
      twin = optax.adamw(
        lambda k, rate=rate: rate * schedule(k), 0.8, 0.95, weight_decay=0.3 * decay
      )
      expected, _ = _updated(twin, _params()[net][name], [grad[net][name] for grad in grads])
      np.testing.assert_allclose(result[net][name], expected, rtol=1e-4, atol=1e-6)


def test_frozen_parameters_do_not_change_and_have_no_moments():
  grads = [_grads(k) for k in range(3)]
  frozen = _config(learning_rate_factors=(('body', 0.0), ('.*', 1.0)), weight_decay=0.3)
  result, state = _trained(frozen, grads)
  everything, full = _trained(_config(weight_decay=0.3), grads)
  jax.tree.map(np.testing.assert_array_equal, result['body'], _params()['body'])
  jax.tree.map(np.testing.assert_array_equal, result['head'], everything['head'])
  assert not np.array_equal(everything['body']['kernel'], _params()['body']['kernel'])
  assert len(_moments(full, (3, 2))) == 4  # First and second, of two kernels.
  assert len(_moments(state, (3, 2))) == 2


def test_gradients_are_clipped_by_the_norm_of_the_trained_parameters():
  """The first moment shows the clipped gradient."""
  config = _config(clip=0.5, learning_rate_factors=(('body', 0.0), ('.*', 1.0)))
  grad = _grads(0)
  norm = np.sqrt(sum((x**2).sum() for x in grad['head'].values()))
  assert norm > 0.6
  (first, _) = _moments(_trained(config, [grad])[1], (3, 2))
  np.testing.assert_allclose(first, 0.2 * grad['head']['kernel'] * 0.5 / norm, rtol=1e-5)
  small = jax.tree.map(lambda x: 0.1 * x, grad)
  small['body'] = jax.tree.map(lambda x: 1e6 * x, grad['body'])
  (first, _) = _moments(_trained(config, [small])[1], (3, 2))
  np.testing.assert_allclose(first, 0.2 * small['head']['kernel'], rtol=1e-5)


@pytest.mark.parametrize('warmup, steps', [(0, 20), (30, 20), (0, 0), (5, 0), (1, 1)])
def test_schedules_are_finite_for_any_warmup_and_number_of_steps(warmup, steps):
  schedule = _schedule(_config(steps, warmup=warmup))
  rates = np.array([schedule(jnp.int32(k)) for k in range(steps + 1)])
  assert np.isfinite(rates).all() and rates.max() <= 0.1 + 1e-7
  np.testing.assert_allclose(rates[min(warmup, steps)], 0.1, rtol=1e-6)


@pytest.mark.parametrize(
  'schedule, expected',
  [
    ('cosine', lambda t: 0.01 + 0.09 * 0.5 * (1 + np.cos(np.pi * t))),
    ('polynomial', lambda t: 0.01 + 0.09 * (1 - t) ** 2),
    ('exponential', lambda t: 0.1 * 0.1**t),
    ('staircase', lambda t: 0.1 * 0.1 ** (np.floor(2 * t) / 2)),  # Two parts.
    ('onecycle', lambda t: 0.1 - 0.09 * t),
    ('constant', lambda t: 0.1 + 0 * t),
  ],
)
def test_schedules_rise_to_the_peak_and_fall_to_the_end(schedule, expected):
  function = _schedule(_config(schedule=schedule, warmup=4, power=2.0))
  rates = np.array([function(k) for k in range(_STEPS + 3)])
  np.testing.assert_allclose(rates[4 : _STEPS + 1], expected(np.arange(17) / 16), rtol=1e-4)
  start = 0.004 if schedule == 'onecycle' else 0
  np.testing.assert_allclose(rates[:5], np.linspace(start, 0.1, 5), rtol=1e-5, atol=1e-9)
  np.testing.assert_allclose(rates[_STEPS:], rates[_STEPS], rtol=1e-6)


def test_a_staircase_falls_at_the_start_of_each_epoch():
  epochs, length = 20, 1806
  fields = {'schedule': 'staircase', 'power': epochs, 'end': 0.1 * 0.95**epochs}
  rates = jax.jit(_schedule(_config(epochs * length, **fields)))(jnp.arange(epochs * length))
  expected = np.repeat(0.1 * 0.95 ** np.arange(epochs), length)
  np.testing.assert_allclose(rates, expected, rtol=1e-5)


@pytest.mark.parametrize(
  'name, decay, twin',
  [
    ('adam', 0.0, optax.adam(0.1, 0.8, 0.95)),
    ('adamw', 0.3, optax.adamw(0.1, 0.8, 0.95, weight_decay=0.3)),
    ('nadam', 0.3, optax.nadamw(0.1, 0.8, 0.95, weight_decay=0.3)),
    ('sgd', 0.0, optax.sgd(0.1, momentum=0.8)),
  ],
)
def test_optimisers_equal_those_of_optax(name, decay, twin):
  fields = {'weight_decay': decay, 'weight_decay_factors': (('.*', 1.0),)}
  grads = [_grads(k) for k in range(3)]
  result, _ = _trained(_config(name=name, schedule='constant', **fields), grads)
  expected, _ = _updated(twin, _params(), grads)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), result, expected)
