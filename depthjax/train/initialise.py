"""Starting a run from the weights of another one."""

import jax
import jax.numpy as jnp
import ml_collections

from depthjax import rules
from depthjax.configuring import ConfigError
from depthjax.files import weights
from depthjax.files.errors import InputError
from depthjax.train.step import TrainState


def from_weights(state: TrainState, config: ml_collections.ConfigDict) -> TrainState:
  """The state with the arrays that `config.rules` call 'load' taken from `config.weights`.

  The rules see paths such as 'params/kernel_net/...' and 'batch_stats/...'; arrays whose rule is
  'fresh' keep their initial values. The moving average starts at the loaded variables.

  Raises:
    InputError: the file cannot be read, lacks an array to load or holds it in another shape.
    ConfigError: a rule's value is neither 'load' nor 'fresh'.
  """
  saved, _ = weights.load_weights(config.weights)
  saved = {
    rules.path_name(path): value for path, value in jax.tree_util.tree_flatten_with_path(saved)[0]
  }
  variables = {'params': state.params, **state.model_state}
  choices = rules.match(config.rules, variables)

  def chosen(path, fresh, choice):
    name = rules.path_name(path)
    if choice == 'fresh':
      return fresh
    if choice != 'load':
      raise ConfigError(f"initialise.rules: {choice!r} for {name!r}; 'load' or 'fresh'")
    if name not in saved or saved[name].shape != fresh.shape:
      found = saved[name].shape if name in saved else 'missing'
      wrong = f"has {name!r} as {found}, the model's is {fresh.shape}"
      right = "weights of this model, or 'fresh' for that array in initialise.rules"
      raise InputError(config.weights, wrong, right)
    return jax.device_put(saved[name].astype(fresh.dtype), fresh.sharding)

  variables = jax.tree_util.tree_map_with_path(chosen, variables, choices)
  ema = jax.tree.map(jnp.copy, variables)
  params = variables.pop('params')
  return state.replace(params=params, model_state=variables, ema=ema)
