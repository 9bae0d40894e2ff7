"""Optimisers and learning-rate schedules from the fields of a config, with optax."""

from typing import Any

import jax
import ml_collections
import optax

from depthjax import rules


def schedule(config: ml_collections.ConfigDict, steps: int) -> optax.Schedule:
  """Learning rate by step: linear warmup to `peak`, then `schedule` to `end` at the last step.

  Schedules: 'cosine', 'polynomial' (exponent `power`; 1 is linear), 'exponential', 'onecycle'
  (linear; warmup starts at peak / 25) and 'constant' (stays at the peak).
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
  start = 1 / 25 * peak if config.schedule == 'onecycle' else 0.0  # As PyTorch's OneCycleLR.
  rise = optax.linear_schedule(start, peak, warmup)
  return optax.join_schedules([rise, decays[config.schedule]()], [warmup])


def make(config: ml_collections.ConfigDict, steps: int) -> optax.GradientTransformation:
  """Gradient clipping, optimiser, weight decay and learning rate from `config.optimizer`.

  Weight decay is decoupled (Loshchilov and Hutter, ICLR 2019). Parameters whose learning-rate
  factor is 0 are frozen: they have no moments and no weight decay.
  """
  decays, rates = tuple(config.weight_decay_factors), tuple(config.learning_rate_factors)
  direction = optax.scale_by_adam(config.beta1, config.beta2, nesterov=config.name == 'nadam')
  if config.name == 'sgd':
    direction = optax.trace(config.beta1)

  def decay_weights(updates: Any, params: Any) -> Any:
    strength, factors = config.weight_decay, rules.match(decays, params)
    return jax.tree.map(lambda u, p, f: u + strength * f * p, updates, params, factors)

  def scale_by_rates(updates: Any, params: Any) -> Any:
    return jax.tree.map(lambda update, rate: update * rate, updates, rules.match(rates, params))

  def label(params: Any) -> Any:
    return jax.tree.map(lambda rate: 'trained' if rate else 'frozen', rules.match(rates, params))

  optimised = optax.chain(
    optax.clip_by_global_norm(config.clip) if config.clip else optax.identity(),
    direction,
    *([optax.stateless(decay_weights)] if config.weight_decay else []),
    optax.scale_by_learning_rate(schedule(config, steps)),
    optax.stateless(scale_by_rates),
  )
  return optax.partition({'trained': optimised, 'frozen': optax.set_to_zero()}, label)


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
