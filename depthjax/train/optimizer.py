"""Optimisers and learning-rate schedules from the fields of a config, with optax.

The numbers of a config are arguments of the compiled step, so that runs which differ only in them
share one program. Names, rules, and whether there is weight decay are part of the program.
"""

import operator
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from depthjax import rules

# Scalars by name: float32 [].
Hyper = Mapping[str, Any]
_NUMBERS = ('peak', 'end', 'power', 'beta1', 'beta2', 'weight_decay')


def hyper(config: ml_collections.ConfigDict) -> dict[str, np.ndarray]:
  """The hyperparameters of a run that are arguments of its step, from the complete config."""
  fields = config.optimizer
  warmup = min(fields.warmup, config.steps)
  numbers = {
    **{name: fields[name] for name in _NUMBERS},
    'warmup': warmup,
    'rest': max(config.steps - warmup, 1),  # Steps after the warmup.
    'clip': fields.clip or np.inf,
    'ema': config.ema,
  }
  return {name: np.float32(value) for name, value in numbers.items()}


def schedule(kind: str, hyper: Hyper) -> optax.Schedule:
  """Learning rate by step: linear warmup to `peak`, then by `kind` to `end` at the last step.

  Kinds: 'cosine', 'polynomial' (exponent `power`; 1 is linear), 'exponential', 'staircase' (the
  same in `power` equal parts, such as epochs, at whose start the rate falls), 'onecycle' (linear;
  warmup starts at peak / 25) and 'constant' (stays at the peak).
  """
  peak, end, warmup, power = (hyper[name] for name in ('peak', 'end', 'warmup', 'power'))
  start = peak / 25 if kind == 'onecycle' else 0.0  # As PyTorch's OneCycleLR.

  def rate(count: jax.Array) -> jax.Array:
    # Not the schedules of optax: they read their numbers when they are made.
    t = jnp.clip((count - warmup) / hyper['rest'], 0, 1)
    # One division: an exact multiple stays one.
    parts = jnp.clip((count - warmup) * power / hyper['rest'], 0, power)
    decayed = {
      'cosine': lambda: end + (peak - end) * 0.5 * (1 + jnp.cos(jnp.pi * t)),
      'polynomial': lambda: end + (peak - end) * (1 - t) ** power,
      'exponential': lambda: peak * (end / peak) ** t,
      'staircase': lambda: peak * (end / peak) ** (jnp.floor(parts) / power),
      'onecycle': lambda: end + (peak - end) * (1 - t),
      'constant': lambda: peak,
    }[kind]()
    rising = start + (peak - start) * count / jnp.maximum(warmup, 1)
    return jnp.where(count < warmup, rising, decayed)

  return rate


def make(config: ml_collections.ConfigDict, hyper: Hyper) -> optax.GradientTransformation:
  """Gradient clipping, optimiser, weight decay and learning rate from `config.optimizer`.

  Weight decay is decoupled (Loshchilov and Hutter, ICLR 2019). Parameters whose learning-rate
  factor is 0 are frozen: they have no moments and no weight decay.

  Args:
    config: its names and rules; the numbers are those of `hyper`.
  """
  decays, rates = tuple(config.weight_decay_factors), tuple(config.learning_rate_factors)
  direction = optax.trace(hyper['beta1'])
  if config.name != 'sgd':
    betas = hyper['beta1'], hyper['beta2']
    direction = optax.scale_by_adam(*betas, nesterov=config.name == 'nadam')

  def decay_weights(updates: Any, params: Any) -> Any:
    strength, factors = hyper['weight_decay'], rules.match(decays, params)
    return jax.tree.map(lambda u, p, f: u + strength * f * p, updates, params, factors)

  def label(params: Any) -> Any:
    return jax.tree.map(lambda rate: 'trained' if rate else 'frozen', rules.match(rates, params))

  optimised = optax.chain(
    optax.clip_by_global_norm(hyper['clip']),
    direction,
    optax.stateless(decay_weights) if config.weight_decay else optax.identity(),
    optax.scale_by_learning_rate(schedule(config.schedule, hyper)),
    optax.stateless(lambda u, params: jax.tree.map(operator.mul, u, rules.match(rates, params))),
  )
  return optax.partition({'trained': optimised, 'frozen': optax.set_to_zero()}, label)


def older(state: Any) -> Any:
  """A state as versions had it whose chain had no element for weight decay, if there was none."""
  chain = lambda x: isinstance(x, optax.MaskedState) and len(x.inner_state) > 3  # noqa: E731
  shorter = lambda x: optax.MaskedState((*x.inner_state[:2], *x.inner_state[3:]))  # noqa: E731
  return jax.tree.map(lambda x: shorter(x) if chain(x) else x, state, is_leaf=chain)


def trained(params: Any, model_state: Any, *, learning_rate_factors: Any) -> tuple[Any, Any]:
  """Whether each leaf of the parameters and of the model state is trained.

  A parameter is trained if its learning-rate factor is not 0; model state, such as batch
  statistics, if a parameter of its module is, or of the closest enclosing module that has any.
  """
  own = jax.tree.map(lambda factor: factor != 0, rules.match(tuple(learning_rate_factors), params))
  flat = jax.tree_util.tree_leaves_with_path(own)

  def of_state(path: tuple, _: Any) -> bool:
    module = path[1:-1]  # Without the names of the collection and of the leaf.
    enclosing = (
      [is_own for keys, is_own in flat if keys[:length] == module[:length]]
      for length in range(len(module), -1, -1)
    )
    return any(next(filter(None, enclosing)))

  return own, jax.tree_util.tree_map_with_path(of_state, model_state)
