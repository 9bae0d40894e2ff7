"""The train step: one pure function of state and batch for every task.

Features wrap its parts: `accumulate` and `parallel.averaged` take a gradient function and return
one; nothing in here knows a task, a mesh or a file.
"""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from depthjax.tasks.task import Task


@flax.struct.dataclass
class TrainState:
  """Everything a run must remember, arrays only.

  Fields:
    step: int32 [], updates made.
    params, model_state: the model's variables; `model_state` holds batch statistics.
    ema: exponential moving average of all variables, `params` and `model_state`, what is evaluated
      and exported. Statistics of the last few batches alone would add their noise to every score.
    opt: the optimiser's state.
    key: uint32 [2], key data of the run's seed; never advances, `step` is folded in.
    finite: bool [], False once a loss or gradient was not finite: the state stays as it was then.
  """

  step: jax.Array
  params: Any
  model_state: Any
  ema: Any
  opt: Any
  key: jax.Array
  finite: jax.Array


Gradients = Callable[[TrainState, Any], tuple[Any, Any, dict[str, jax.Array]]]


def init_state(
  key: jax.Array, *, task: Task, tx: optax.GradientTransformation, inputs: Any
) -> TrainState:
  """A fresh state; `inputs` are arrays of the shapes that `task.inputs` makes, of any values."""
  variables = task.init(jax.random.wrap_key_data(key), inputs)
  params = variables['params']
  model_state = {name: value for name, value in variables.items() if name != 'params'}
  # The average starts at the variables; a copy, since both are given away at each step.
  ema = jax.tree.map(jnp.copy, variables)
  return TrainState(
    jnp.zeros((), jnp.int32), params, model_state, ema, tx.init(params), key, jnp.ones((), bool)
  )


def gradients(state: TrainState, batch: Any, *, task: Task) -> tuple[Any, Any, dict]:
  """Gradients of the mean loss of a batch, the new model state, and scalars by name."""
  key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
  inputs = jax.lax.stop_gradient(task.inputs(batch))

  def loss(params):
    variables = {'params': params, **state.model_state}
    terms, model_state = task.loss(task.apply, variables, inputs, key)
    terms = jax.tree.map(jnp.mean, terms)
    return sum(terms.values()), (terms, model_state)

  (value, (terms, model_state)), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
  return grads, model_state, {'loss': value, **terms}


def accumulate(gradients: Gradients, parts: int) -> Gradients:
  """The same gradients from `parts` microbatches in turn: less memory, more time.

  Example i goes to microbatch i mod parts, so that each device keeps its own. Batch statistics
  are those of a microbatch, updated with each.
  """
  if parts == 1:
    return gradients

  def split(x):
    return jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0)

  def accumulated(state, batch):
    def body(carry, microbatch):
      total, model_state = carry
      grads, model_state, scalars = gradients(state.replace(model_state=model_state), microbatch)
      return (jax.tree.map(jnp.add, total, grads), model_state), scalars

    zeros = jax.tree.map(jnp.zeros_like, state.params)
    carry = (zeros, state.model_state)
    (total, model_state), scalars = jax.lax.scan(body, carry, jax.tree.map(split, batch))
    grads = jax.tree.map(lambda x: x / parts, total)
    return grads, model_state, jax.tree.map(lambda x: x.mean(axis=0), scalars)

  return accumulated


def train_step(
  state: TrainState,
  batch: Any,
  *,
  gradients: Gradients,
  tx: optax.GradientTransformation,
  decay: float,
) -> tuple[TrainState, dict[str, jax.Array]]:
  """One update: the new state and scalars (`loss`, its terms, `grad_norm`).

  The decay of the average is min(decay, (1 + step) / (10 + step)), so that short runs forget their
  start too. After a loss or gradient that is not finite the state never changes again: it is the
  last good one, and the loop may look at the scalars as late as it likes.
  """
  grads, model_state, scalars = gradients(state, batch)
  updates, opt = tx.update(grads, state.opt, state.params)
  params = optax.apply_updates(state.params, updates)
  keep = jnp.minimum(decay, (1 + state.step) / (10 + state.step))
  ema = optax.incremental_update({'params': params, **model_state}, state.ema, 1 - keep)
  norm = optax.tree.norm(grads)
  finite = state.finite & jnp.isfinite(scalars['loss']) & jnp.isfinite(norm)
  new = state.replace(step=state.step + 1, params=params, model_state=model_state, ema=ema, opt=opt)
  new = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, state)
  return new.replace(finite=finite), {**scalars, 'grad_norm': norm}


def evaluate_step(state: TrainState, batch: Any, *, task: Task) -> dict[str, jax.Array]:
  """The task's metrics of a batch with the averaged variables: each of shape [b]."""
  inputs = task.inputs(batch)
  return task.metrics(task.predict(task.apply, state.ema, inputs), inputs)


def pictures_step(state: TrainState, batch: Any, *, task: Task) -> dict[str, jax.Array]:
  """The task's pictures of a batch with the averaged variables: each [b h w 3], sRGB."""
  inputs = task.inputs(batch)
  return task.pictures(task.predict(task.apply, state.ema, inputs), inputs)
