"""The contract of a task: pure functions, and nothing else.

No task has a loop, a file, a mesh, or a word about another task. The engine calls `inputs` on the
device with a batch of records, and hands what it returns to the others.

`variables` are the model's, a dict of collections with 'params' among them. `frozen` holds the
arrays of networks that the task uses and does not train, by name: they are arguments like the
batch, never constants of the compiled program.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from depthjax.models.predictors.predictor import Predictor

Variables = dict[str, Any]
Frozen = Mapping[str, Variables]
Scalars = dict[str, jax.Array]


class Env(NamedTuple):
  """What a task is made for, besides its config.

  Fields:
    map_examples: makes a function of one example one of a batch (parallel.map_examples).
    axis_name: the mapped axis that batch statistics are averaged over, or None.
    frozen: the networks whose arrays `frozen` will hold, by name, as data without arrays.
  """

  map_examples: Callable[[Callable], Callable] = jax.vmap
  axis_name: str | None = None
  frozen: Mapping[str, Predictor] = {}


class Task(NamedTuple):
  """What the one loop needs to know of an experiment.

  Fields:
    init: (key, inputs) -> the model's variables.
    apply: (variables, inputs) -> outputs, as in evaluation.
    inputs: (frozen, batch of records) -> what the functions below call `inputs`; renders, on the
      device.
    loss: (variables, frozen, inputs, key, step) -> ({term: [b]}, new model state). The loss is the
      sum of the terms' means. The model state is every collection but 'params'. `key` is the same
      on every device and in every microbatch: what is random by example folds `index` into it, the
      record's number in the stream of examples. `step` is int32 [], updates made.
    metrics: (outputs, inputs) -> {name: [b]}.
    pictures: (outputs, inputs) -> {name: [b h w 3]} sRGB in [0, 1].
    predict: (variables, frozen, inputs) -> outputs; None is `apply`.
  """

  init: Callable[[jax.Array, Any], Variables]
  apply: Callable[[Variables, Any], Any]
  inputs: Callable[[Frozen, Any], Any]
  loss: Callable[[Variables, Frozen, Any, jax.Array, jax.Array], tuple[Scalars, Variables]]
  metrics: Callable[[Any, Any], Scalars]
  pictures: Callable[[Any, Any], dict[str, jax.Array]]
  predict: Callable[[Variables, Frozen, Any], Any] | None = None

  def outputs(self, variables: Variables, frozen: Frozen, inputs: Any) -> Any:
    """The outputs that metrics and pictures are of."""
    if self.predict is None:
      return self.apply(variables, inputs)
    return self.predict(variables, frozen, inputs)


def forward(model: Any, variables: Variables, *arguments: Any, **options: Any) -> tuple[Any, Any]:
  """A linen model in training: its outputs, and every collection but 'params' as it is then."""
  state = {name: tree for name, tree in variables.items() if name != 'params'}
  outputs, changed = model.apply(variables, *arguments, **options, mutable=list(state))
  return outputs, {**state, **changed}


def refuse_frozen(env: Env, task: str) -> None:
  """Refuses frozen networks for a task that uses none.

  Raises:
    ValueError: there is one.
  """
  if env.frozen:
    raise ValueError(f'the task {task!r} uses no depth predictor; predictor.weights must be empty')
