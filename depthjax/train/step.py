"""The train step: a pure function of state, frozen networks, hyperparameters and batch.

It is the same for every task. Features wrap the gradient function: `accumulate`,
`parallel.averaged`, `parallel.all_gathered`.
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
  """The state of a training run: arrays only.

  `ema`, the exponential moving average of `params` and `model_state`, is evaluated and exported.
  Without averaged batch statistics, noise of the last batches would enter every score.
  """

  step: jax.Array  # int32 [], number of updates.
  params: Any
  model_state: Any  # Batch statistics.
  ema: Any
  opt: Any  # State of the optimiser.
  key: jax.Array  # uint32 [2], key data of the seed; constant, each step folds its number in.
  finite: jax.Array  # bool [], False once a step was not finite: the state is frozen.


# (state, frozen, batch) -> gradients, model state, scalars.
Gradients = Callable[[TrainState, Any, Any], tuple[Any, Any, dict[str, jax.Array]]]


def init_state(
  key: jax.Array, *, task: Task, tx: optax.GradientTransformation, inputs: Any
) -> TrainState:
  """A new state; only the shapes and dtypes of `inputs`, a result of `task.inputs`, matter."""
  variables = task.init(jax.random.wrap_key_data(key), inputs)
  params = variables['params']
  model_state = {name: value for name, value in variables.items() if name != 'params'}
  ema = jax.tree.map(jnp.copy, variables)  # Not the same buffers: a step donates both.
  return TrainState(
    jnp.zeros((), jnp.int32), params, model_state, ema, tx.init(params), key, jnp.ones((), bool)
  )


def gradients(
  state: TrainState, frozen: Any, batch: Any, *, task: Task, trained: Callable
) -> tuple[Any, Any, dict]:
  """Gradients of the mean loss of a batch, the new model state, and scalars by name.

  Args:
    frozen: variables of the frozen networks, by name.
    trained: (params, model_state) -> whether each of their leaves is trained. The other parameters
      have the gradient 0 and need no backward pass; the other model state does not change.
  """
  key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
  inputs = jax.lax.stop_gradient(task.inputs(frozen, batch))
  of_params, of_state = trained(state.params, state.model_state)

  def loss(params):
    params = jax.tree.map(
      lambda x, is_own: x if is_own else jax.lax.stop_gradient(x), params, of_params
    )
    variables = {'params': params, **state.model_state}
    terms, model_state = task.loss(variables, frozen, inputs, key, state.step)
    terms = jax.tree.map(jnp.mean, terms)
    return sum(terms.values()), (terms, model_state)

  (value, (terms, new)), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
  new = jax.tree.map(lambda x, y, is_own: x if is_own else y, new, state.model_state, of_state)
  return grads, new, {'loss': value, **terms}


def accumulate(gradients: Gradients, parts: int) -> Gradients:
  """Gradient accumulation over `parts` microbatches: less memory, more time.

  Example i belongs to microbatch i mod `parts`, so that no example changes its device. Batch
  statistics are computed per microbatch.
  """
  if parts == 1:
    return gradients

  def split(x):
    return jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0)

  def accumulated(state, frozen, batch):
    def body(carry, microbatch):
      total, model_state = carry
      state_now = state.replace(model_state=model_state)
      grads, model_state, scalars = gradients(state_now, frozen, microbatch)
      return (jax.tree.map(jnp.add, total, grads), model_state), scalars

    batches = jax.tree.map(split, batch)
    start = jax.tree.map(jnp.zeros_like, state.params), state.model_state
    (total, model_state), scalars = jax.lax.scan(body, start, batches)
    grads = jax.tree.map(lambda x: x / parts, total)
    return grads, model_state, jax.tree.map(lambda x: x.mean(axis=0), scalars)

  return accumulated


def train_step(
  state: TrainState,
  frozen: Any,
  hyper: Any,
  batch: Any,
  *,
  gradients: Gradients,
  optimizer: Callable[[Any], optax.GradientTransformation],
) -> tuple[TrainState, dict[str, jax.Array]]:
  """One update: the new state and scalars (`loss`, its terms, `grad_norm`, `finite`).

  The decay of the moving average is min(ema, (1 + step) / (10 + step)), so that early variables are
  forgotten in short runs too. After a loss, gradient or update that is not finite the state
  never changes again, so the loop can check the scalars of a step later.

  Args:
    hyper: float32 scalars by name: `ema` and those that `optimizer` takes.
  """
  grads, model_state, scalars = gradients(state, frozen, batch)
  norm = optax.tree.norm(grads)
  updates, opt = optimizer(hyper).update(grads, state.opt, state.params)
  params = optax.apply_updates(state.params, updates)
  keep = jnp.minimum(hyper['ema'], (1 + state.step) / (10 + state.step))
  # In this form the average of a frozen array equals it exactly.
  average = lambda new, old: old + (1 - keep) * (new - old)  # noqa: E731
  ema = jax.tree.map(average, {'params': params, **model_state}, state.ema)
  finite = state.finite & jnp.isfinite(scalars['loss'] + norm + optax.tree.norm(updates))
  new = state.replace(step=state.step + 1, params=params, model_state=model_state, ema=ema, opt=opt)
  new = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, state)
  return new.replace(finite=finite), {**scalars, 'grad_norm': norm, 'finite': finite}


def evaluate_step(
  state: TrainState, frozen: Any, batch: Any, *, task: Task, function: Callable
) -> tuple[dict[str, Any], jax.Array]:
  """`task.scores` [b] or `task.pictures` [b h w 3] of a batch, for the averaged variables.

  Returns also `index` [b] of the records, as data.pipeline.Once gives it: with several processes
  the order is not that of the records.
  """
  inputs = task.inputs(frozen, batch)
  return function(task.outputs(state.ema, frozen, inputs), inputs), batch['index']
