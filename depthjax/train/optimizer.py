"""Optimisers and learning-rate schedules by the fields of a config, thin over optax."""

from typing import Any

import jax
import ml_collections
import optax

from depthjax import rules

# PyTorch's OneCycleLR starts at this fraction of its peak.
_ONECYCLE_START = 1 / 25


def schedule(config: ml_collections.ConfigDict, steps: int) -> optax.Schedule:
  """Learning rate of a step: linear warmup to `peak`, then `schedule` to `end` at the last step.

  'cosine', 'polynomial' (of `power`; 1 is linear), 'exponential', 'onecycle' (linear, from a 25th
  of the peak up and down) and 'constant', which stays at the peak.
  """
  warmup = min(config.warmup, steps)
  rest, peak, end = max(steps - warmup, 1), config.peak, config.end
  ratio = end / peak if peak else 0.0
  decays = {
    'cosine': lambda: optax.cosine_decay_schedule(peak, rest, alpha=ratio),
    'polynomial': lambda: optax.polynomial_schedule(peak, end, config.power, rest),
    'exponential': lambda: optax.exponential_decay(peak, rest, ratio, end_value=end),
    'onecycle': lambda: optax.linear_schedule(peak, end, rest),
    'constant': lambda: optax.constant_schedule(peak),
  }
  start = _ONECYCLE_START * peak if config.schedule == 'onecycle' else 0.0
  rise = optax.linear_schedule(start, peak, warmup)
  return optax.join_schedules([rise, decays[config.schedule]()], [warmup])


def make(config: ml_collections.ConfigDict, steps: int) -> optax.GradientTransformation:
  """Clip, optimiser, weight decay and rate by the rules of `config` (configuring.defaults).

  Weight decay is decoupled (Loshchilov and Hutter, ICLR 2019). Parameters whose rate is 0 are
  frozen: they keep no moments and take no decay.
  """
  decays = tuple(config.weight_decay_factors)
  rates = tuple(config.learning_rate_factors)

  def scale_by_rates(updates: Any, params: Any) -> Any:
    factors = rules.match(rates, params)
    return jax.tree.map(lambda update, factor: update * factor, updates, factors)

  optimised = optax.chain(
    optax.clip_by_global_norm(config.clip) if config.clip else optax.identity(),
    _scale(config),
    *_weight_decay(config.weight_decay, decays),
    optax.scale_by_learning_rate(schedule(config, steps)),
    optax.stateless(scale_by_rates),
  )

  def label(params: Any) -> Any:
    return jax.tree.map(
      lambda factor: 'frozen' if factor == 0 else 'trained', rules.match(rates, params)
    )

  return optax.partition({'trained': optimised, 'frozen': optax.set_to_zero()}, label)


def trained(params: Any, model_state: Any, *, learning_rate_factors: Any) -> tuple[Any, Any]:
  """Which leaves of the parameters and of the model state are trained: a boolean for each.

  Those are the parameters whose rate is not 0. State, such as batch statistics, goes with the
  parameters of its module, or of the nearest module around it that has any.
  """
  own = jax.tree.map(lambda factor: factor != 0, rules.match(tuple(learning_rate_factors), params))
  flat = jax.tree_util.tree_leaves_with_path(own)

  def of_state(path: tuple, _: Any) -> bool:
    module = path[1:-1]  # Without the collection and the leaf's own name.
    around = (
      [is_own for keys, is_own in flat if keys[:length] == module[:length]]
      for length in range(len(module), -1, -1)
    )
    return any(next(filter(None, around)))

  return own, jax.tree_util.tree_map_with_path(of_state, model_state)


def _scale(config: ml_collections.ConfigDict) -> optax.GradientTransformation:
  """The direction of an update by `config.name`; adam is adamw, whose decay must be 0."""
  if config.name == 'sgd':
    return optax.trace(config.beta1)
  return optax.scale_by_adam(config.beta1, config.beta2, nesterov=config.name == 'nadam')


def _weight_decay(strength: float, decays: tuple) -> list[optax.GradientTransformation]:
  if not strength:
    return []

  def add(updates: Any, params: Any) -> Any:
    factors = rules.match(decays, params)
    return jax.tree.map(lambda u, p, f: u + strength * f * p, updates, params, factors)

  return [optax.stateless(add)]
