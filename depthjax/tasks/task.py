"""The contract of a task: pure functions, and nothing else.

No task has a loop, a file, a mesh, or a word about another task. The engine calls `inputs` on the
device with a batch of drawn records, and hands what it returns to the others.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Apply = Callable[..., Any]
Variables = dict[str, Any]
Scalars = dict[str, jax.Array]
# Normalised disparity of photographs: [b h w 3] -> [b h w 1].
Predictor = Callable[[jax.Array], jax.Array]


class Task(NamedTuple):
  """What the one loop needs to know of an experiment.

  Fields:
    init: (key, inputs) -> the model's variables.
    apply: (variables, inputs, train) -> (outputs, new model state); the model state is every
      collection but 'params' and comes back unchanged where `train` is False.
    inputs: batch of records -> what the functions below call `inputs`; renders, on the device.
    loss: (apply, variables, inputs, key) -> ({term: [b]}, new model state). The loss is the sum of
      the terms' means. `key` is the same on every device and in every microbatch: what is random
      by example folds `index` into it, the record's place in the stream of examples, and goes to
      `apply` with the inputs.
    predict: (apply, variables, inputs) -> outputs.
    metrics: (outputs, inputs) -> {name: [b]}.
    pictures: (outputs, inputs) -> {name: [b h w 3]} sRGB in [0, 1].
  """

  init: Callable[[jax.Array, Any], Variables]
  apply: Apply
  inputs: Callable[[Any], Any]
  loss: Callable[[Apply, Variables, Any, jax.Array], tuple[Scalars, Variables]]
  predict: Callable[[Apply, Variables, Any], Any]
  metrics: Callable[[Any, Any], Scalars]
  pictures: Callable[[Any, Any], dict[str, jax.Array]]
