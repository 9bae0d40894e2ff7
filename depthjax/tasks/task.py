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
import jax.numpy as jnp

from depthjax.metrics.weighted import Weighted
from depthjax.models.predictors import predictor as predictor_lib
from depthjax.models.predictors.predictor import Predictor

Variables = dict[str, Any]
Frozen = Mapping[str, Variables]
Scalars = dict[str, jax.Array]


class Env(NamedTuple):
  """What a task depends on besides its config.

  `map_examples` makes a function of a batch from a function of one example, as jax.vmap does
  (parallel.map_examples).
  """

  map_examples: Callable[[Callable], Callable] = jax.vmap
  axis_name: str | None = None  # The pmap axis that batch statistics are averaged over.
  frozen: Mapping[str, Predictor] = {}  # The frozen networks by name, without their variables.


class Task(NamedTuple):
  """The functions that define an experiment.

  `loss` returns terms {name: [b]}, the sum of whose means is minimised, and the new model state:
  all collections except 'params'. Its `key` is the same on every device and in every microbatch:
  fold the records' `index` into it for random numbers of an example. Its `step` is int32 [], the
  number of updates so far.
  """

  init: Callable[[jax.Array, Any], Variables]  # (key, inputs).
  apply: Callable[[Variables, Any], Any]  # (variables, inputs) -> outputs, in evaluation mode.
  inputs: Callable[[Frozen, Any], Any]  # (frozen, batch of records); renders the records.
  # (variables, frozen, inputs, key, step).
  loss: Callable[[Variables, Frozen, Any, jax.Array, jax.Array], tuple[Scalars, Variables]]
  # (outputs, inputs) -> {name: [b], or metrics.weighted.Weighted if undefined for some examples}.
  metrics: Callable[[Any, Any], dict[str, jax.Array | Weighted]]
  pictures: Callable[[Any, Any], dict[str, jax.Array]]  # -> {name: [b h w 3]}, sRGB in [0, 1].
  # (variables, frozen, inputs) -> outputs for metrics and pictures; None means `apply`.
  predict: Callable[[Variables, Frozen, Any], Any] | None = None

  def outputs(self, variables: Variables, frozen: Frozen, inputs: Any) -> Any:
    """The outputs for metrics and pictures."""
    if self.predict is None:
      return self.apply(variables, inputs)
    return self.predict(variables, frozen, inputs)

  def scores(self, outputs: Any, inputs: Any) -> dict[str, Weighted]:
    """The metrics; those without weights have weight 1."""
    return {
      name: x if isinstance(x, Weighted) else Weighted(x, jnp.ones_like(x))
      for name, x in self.metrics(outputs, inputs).items()
    }


def forward(model: Any, variables: Variables, *arguments: Any, **options: Any) -> tuple[Any, Any]:
  """Applies a Linen model in training mode: outputs, and the new collections except 'params'."""
  state = {name: tree for name, tree in variables.items() if name != 'params'}
  outputs, changed = model.apply(variables, *arguments, **options, mutable=list(state))
  return outputs, {**state, **changed}


def trained(
  predictor: Predictor, variables: Variables, image: jax.Array
) -> tuple[jax.Array, Variables]:
  """The network's output in training [b h w 1] for sRGB [b h w 3], and its new model state."""
  image = predictor_lib.normalised(predictor, image)
  output, state = forward(predictor.network, variables, image, True)
  return output['disparity'] if isinstance(output, dict) else output, state
