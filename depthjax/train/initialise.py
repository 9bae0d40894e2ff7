"""Initialises a run with the weights of another one."""

import jax
import jax.numpy as jnp
import ml_collections

from depthjax import rules
from depthjax.files import weights
from depthjax.files.errors import InputError
from depthjax.train.step import TrainState


def from_weights(state: TrainState, config: ml_collections.ConfigDict) -> TrainState:
  """The state with arrays loaded from `config.weights` where `config.rules` say 'load'.

  Rules match paths such as 'params/kernel_net/...' and 'batch_stats/...'. Arrays whose rule is
  'fresh' keep their initial values. The moving average starts at the resulting variables.

  Raises:
    InputError: the file cannot be read, or lacks an array to load, or has it in another shape.
    ConfigError: no rule matches an array.
  """
  saved = rules.by_path(weights.load_weights(config.weights)[0])
  variables = {'params': state.params, **state.model_state}
  choices = rules.match(config.rules, variables)

  def chosen(path, fresh, choice):
    name = rules.path_name(path)
    if choice == 'fresh':
      return fresh
    found = saved[name].shape if name in saved else 'missing'
    if found != fresh.shape:
      wrong = f"has {name!r} as {found}, the model's is {fresh.shape}"
      right = "weights of this model, or 'fresh' for that array in initialise.rules"
      raise InputError(config.weights, wrong, right)
    return jax.device_put(saved[name].astype(fresh.dtype), fresh.sharding)

  variables = jax.tree_util.tree_map_with_path(chosen, variables, choices)
  ema = jax.tree.map(jnp.copy, variables)  # Not the same buffers: a step donates both.
  params = variables.pop('params')
  return state.replace(params=params, model_state=variables, ema=ema)
