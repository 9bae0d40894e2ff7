"""The optimiser of every run: Adam with decoupled weight decay, warmup and cosine decay."""

from typing import Any

import jax
import ml_collections
import optax

from depthjax import rules


def schedule(config: ml_collections.ConfigDict, steps: int) -> optax.Schedule:
  """Learning rate of a step: linear warmup to `peak`, cosine to `end` at the last step."""
  warmup = min(config.warmup, steps)
  return optax.warmup_cosine_decay_schedule(
    init_value=0.0,
    peak_value=config.peak,
    warmup_steps=warmup,
    decay_steps=max(steps, warmup + 1),
    end_value=config.end,
  )


def make(config: ml_collections.ConfigDict, steps: int) -> optax.GradientTransformation:
  """Clip, Adam, weight decay and rate by the rules of `config` (configuring.defaults).

  Parameters whose rate is 0 are frozen: they keep no moments and take no decay.
  """
  decays = tuple(config.decays)
  rates = tuple(config.rates)

  def scale_by_rates(updates: Any, params: Any) -> Any:
    factors = rules.match(rates, params)
    return jax.tree.map(lambda update, factor: update * factor, updates, factors)

  trained = optax.chain(
    optax.clip_by_global_norm(config.clip) if config.clip else optax.identity(),
    optax.scale_by_adam(config.beta1, config.beta2),
    *_weight_decay(config.weight_decay, decays),
    optax.scale_by_learning_rate(schedule(config, steps)),
    optax.stateless(scale_by_rates),
  )

  def label(params: Any) -> Any:
    return jax.tree.map(
      lambda factor: 'frozen' if factor == 0 else 'trained', rules.match(rates, params)
    )

  return optax.partition({'trained': trained, 'frozen': optax.set_to_zero()}, label)


def _weight_decay(strength: float, decays: tuple) -> list[optax.GradientTransformation]:
  if not strength:
    return []

  def add(updates: Any, params: Any) -> Any:
    factors = rules.match(decays, params)
    return jax.tree.map(lambda u, p, f: u + strength * f * p, updates, params, factors)

  return [optax.stateless(add)]
