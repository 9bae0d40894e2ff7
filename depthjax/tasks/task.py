"""The contract of a task: pure functions, without loops, files or meshes.

The train step calls `inputs` on the device with a batch of records, and passes the result to the
other functions.

`variables` are the model's, a dict of collections that includes 'params'. `frozen` holds the
variables of networks that the task uses but does not train, by name. They are arguments like the
batch: constants of the compiled program would be stored twice.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from depthjax.models.predictors.predictor import Predictor

Variables = dict[str, Any]
Frozen = Mapping[str, Variables]
Scalars = dict[str, jax.Array]


class Env(NamedTuple):
  """What a task depends on besides its config.

  Fields:
    map_examples: makes a function of a batch from a function of one example, as jax.vmap does
      (parallel.map_examples).
    axis_name: the pmap axis that batch statistics are averaged over, or None.
    frozen: the frozen networks by name, without their variables.
  """

  map_examples: Callable[[Callable], Callable] = jax.vmap
  axis_name: str | None = None
  frozen: Mapping[str, Predictor] = {}


class Task(NamedTuple):
  """The functions that define an experiment.

  Fields:
    init: (key, inputs) -> the model's variables.
    apply: (variables, inputs) -> outputs, in evaluation mode.
    inputs: (frozen, batch of records) -> the `inputs` of the functions below; renders the records.
    loss: (variables, frozen, inputs, key, step) -> ({term: [b]}, new model state). The loss is the
      sum of the terms' means. The model state is all collections except 'params'. `key` is the
      same on every device and in every microbatch: fold the records' `index` into it for random
      numbers of an example. `step` is int32 [], the number of updates so far.
    metrics: (outputs, inputs) -> {name: [b]}.
    pictures: (outputs, inputs) -> {name: [b h w 3]}, sRGB in [0, 1].
    predict: (variables, frozen, inputs) -> outputs of metrics and pictures; None means `apply`.
  """

  init: Callable[[jax.Array, Any], Variables]
  apply: Callable[[Variables, Any], Any]
  inputs: Callable[[Frozen, Any], Any]
  loss: Callable[[Variables, Frozen, Any, jax.Array, jax.Array], tuple[Scalars, Variables]]
  metrics: Callable[[Any, Any], Scalars]
  pictures: Callable[[Any, Any], dict[str, jax.Array]]
  predict: Callable[[Variables, Frozen, Any], Any] | None = None

  def outputs(self, variables: Variables, frozen: Frozen, inputs: Any) -> Any:
    """The outputs for metrics and pictures."""
    if self.predict is None:
      return self.apply(variables, inputs)
    return self.predict(variables, frozen, inputs)


def forward(model: Any, variables: Variables, *arguments: Any, **options: Any) -> tuple[Any, Any]:
  """Applies a Linen model in training mode: outputs, and the new collections except 'params'."""
  state = {name: tree for name, tree in variables.items() if name != 'params'}
  outputs, changed = model.apply(variables, *arguments, **options, mutable=list(state))
  return outputs, {**state, **changed}


def refuse_frozen(env: Env, task: str) -> None:
  """Checks that a task that uses no frozen networks has none.

  Raises:
    ValueError: it has one.
  """
  if env.frozen:
    raise ValueError(f'the task {task!r} uses no depth predictor; predictor.weights must be empty')
