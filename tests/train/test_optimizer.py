"""Optimisers against NumPy and optax, learning-rate schedules, and rules for parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from depthjax import configuring
from depthjax.configuring import ConfigError
from depthjax.train import optimizer

_STEPS = 20


def _config(**fields):
  config = configuring.defaults().optimizer
  config.update({'peak': 0.1, 'end': 0.01, 'clip': 0.0, **fields})
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


def _trained(config, grads, steps=_STEPS):
  """Parameters after one update per gradient, and the state of the optimiser."""
  tx = optimizer.make(config, steps)
  params, state = _params(), tx.init(_params())
  update = jax.jit(tx.update)
  for grad in grads:
    updates, state = update(grad, state, params)
    params = optax.apply_updates(params, updates)
  return jax.device_get(params), state


def _moments(state, size):
  """The arrays of the state with a given shape."""
  return [x for x in jax.tree.leaves(state) if np.shape(x) == size]


def test_updates_equal_adam_with_factors_by_rule():
  config = _config(
    weight_decay=0.3,
    weight_decay_factors=(('head/kernel', 2.0), ('kernel', 1.0), ('.*', 0.0)),
    learning_rate_factors=(('head', 0.5), ('.*', 1.0)),
    beta1=0.8,
    beta2=0.95,
    warmup=2,
  )
  grads = [_grads(k) for k in range(4)]
  result, _ = _trained(config, grads)
  schedule = optimizer.schedule(config, _STEPS)
  decays = {'body': {'kernel': 1.0, 'bias': 0.0}, 'head': {'kernel': 2.0, 'bias': 0.0}}
  rates = {'body': 1.0, 'head': 0.5}
  for net, tree in _params().items():
    for name, value in tree.items():
      first, second = np.zeros_like(value), np.zeros_like(value)
      for k, grad in enumerate(grads):
        first = 0.8 * first + 0.2 * grad[net][name]
        second = 0.95 * second + 0.05 * grad[net][name] ** 2
        step = first / (1 - 0.8 ** (k + 1))
        step = step / (np.sqrt(second / (1 - 0.95 ** (k + 1))) + 1e-8)
        step = step + 0.3 * decays[net][name] * value
        value = value - float(schedule(k)) * rates[net] * step
      np.testing.assert_allclose(result[net][name], value, rtol=1e-4, atol=1e-6)


def test_frozen_parameters_do_not_change_and_have_no_moments():
  frozen = _config(learning_rate_factors=(('body', 0.0), ('.*', 1.0)), weight_decay=0.3)
  result, state = _trained(frozen, [_grads(k) for k in range(3)])
  everything, full = _trained(_config(weight_decay=0.3), [_grads(k) for k in range(3)])
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
  np.testing.assert_allclose(first, 0.1 * grad['head']['kernel'] * 0.5 / norm, rtol=1e-5)
  small = jax.tree.map(lambda x: 0.1 * x, grad)
  small['body'] = jax.tree.map(lambda x: 1e6 * x, grad['body'])
  (first, _) = _moments(_trained(config, [small])[1], (3, 2))
  np.testing.assert_allclose(first, 0.1 * small['head']['kernel'], rtol=1e-5)


@pytest.mark.parametrize('field', ['learning_rate_factors', 'weight_decay_factors'])
def test_rules_must_cover_every_parameter(field):
  config = _config(weight_decay=0.1, **{field: (('kernel', 1.0),)})
  with pytest.raises(ConfigError, match="no rule matches 'body/bias'"):
    _trained(config, [_grads(0)])


@pytest.mark.parametrize('warmup, steps', [(0, 20), (30, 20), (0, 0), (5, 0), (1, 1)])
def test_schedules_are_finite_for_any_warmup_and_number_of_steps(warmup, steps):
  schedule = optimizer.schedule(_config(warmup=warmup), steps)
  rates = np.array([schedule(jnp.int32(k)) for k in range(steps + 1)])
  assert np.isfinite(rates).all() and rates.max() <= 0.1 + 1e-7
  peak = min(warmup, steps)
  np.testing.assert_allclose(rates[peak], 0.1, rtol=1e-6)


@pytest.mark.parametrize(
  'schedule, expected',
  [
    ('cosine', lambda t: 0.01 + 0.09 * 0.5 * (1 + np.cos(np.pi * t))),
    ('polynomial', lambda t: 0.01 + 0.09 * (1 - t) ** 2),
    ('exponential', lambda t: 0.1 * 0.1**t),
    ('onecycle', lambda t: 0.1 - 0.09 * t),
    ('constant', lambda t: 0.1 + 0 * t),
  ],
)
def test_schedules_rise_to_the_peak_and_fall_to_the_end(schedule, expected):
  function = optimizer.schedule(_config(schedule=schedule, warmup=4, power=2.0), _STEPS)
  rates = np.array([function(k) for k in range(_STEPS + 3)])
  np.testing.assert_allclose(rates[4 : _STEPS + 1], expected(np.arange(17) / 16), rtol=1e-4)
  start = 0.004 if schedule == 'onecycle' else 0
  np.testing.assert_allclose(rates[:5], np.linspace(start, 0.1, 5), rtol=1e-5, atol=1e-9)
  np.testing.assert_allclose(rates[_STEPS:], rates[_STEPS], rtol=1e-6)


@pytest.mark.parametrize(
  'name, twin',
  [
    ('adam', optax.adam(0.1, 0.8, 0.95)),
    ('adamw', optax.adamw(0.1, 0.8, 0.95, weight_decay=0.3)),
    ('nadam', optax.nadamw(0.1, 0.8, 0.95, weight_decay=0.3)),
    ('sgd', optax.sgd(0.1, momentum=0.8)),
  ],
)
def test_optimisers_equal_those_of_optax(name, twin):
  decay = {'weight_decay': 0.3 if name in ('adamw', 'nadam') else 0.0}
  factors = {'weight_decay_factors': (('.*', 1.0),)}
  grads = [_grads(k) for k in range(3)]
  config = _config(name=name, beta1=0.8, beta2=0.95, schedule='constant', **decay, **factors)
  result, _ = _trained(config, grads)
  params, state = _params(), twin.init(_params())
  for grad in grads:
    updates, state = twin.update(grad, state, params)
    params = optax.apply_updates(params, updates)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), result, dict(params))
