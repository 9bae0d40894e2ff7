"""Arithmetic of a traced function: counted in its jaxpr, before any compiler.

So it is the model's work, the same for every device and backend: no padding, no recomputation but
what the function itself asks for, nothing whose result is unused, and loops as often as they turn.
"""

import collections
import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jax.interpreters import partial_eval

# Primitives that move or name values.
_MOVES = {
  *('broadcast_in_dim', 'reshape', 'transpose', 'squeeze', 'slice', 'dynamic_slice', 'concatenate'),
  *('dynamic_update_slice', 'pad', 'iota', 'copy', 'rev', 'gather', 'stop_gradient', 'copy_p'),
  *('device_put', 'sharding_constraint', 'split', 'expand_dims', 'platform_index', 'pvary'),
  *('optimization_barrier', 'bitcast_convert_type'),
}
_REDUCES = ('reduce_', 'arg', 'cumsum', 'cumprod', 'cummax', 'cummin', 'cumlogsumexp')


class Work(NamedTuple):
  """Operations of all devices together.

  Fields:
    matrix: FLOPs of convolutions and matrix products (2 a multiply-add), by type of their inputs.
    vector: all other arithmetic, one an element: comparisons, choices and integers too.
    unknown_loops: loops whose number of turns depends on the data; they count as one.
  """

  matrix: dict[str, int]
  vector: int
  unknown_loops: int


def work(jaxpr: Any) -> Work:
  """The work of a closed jaxpr, such as `jax.jit(f).trace(*args).jaxpr`."""
  matrix: collections.Counter[str] = collections.Counter()
  vector = unknown = 0
  live, _ = partial_eval.dce_jaxpr(jaxpr.jaxpr, [True] * len(jaxpr.jaxpr.outvars))
  for equation, times in _equations(live, 1):
    name = equation.primitive.name
    if name == 'conv_general_dilated':
      matrix[_dtype(equation)] += times * _convolution(equation)
    elif name == 'dot_general':
      matrix[_dtype(equation)] += times * _product(equation)
    elif name == 'while':
      unknown += 1
    elif name not in _MOVES and not list(_inner(equation)):
      sized = equation.invars if name.startswith(_REDUCES) or 'scatter' in name else None
      vector += times * _elements(
        sized[-1:] if sized and 'scatter' in name else sized or equation.outvars
      )
  return Work(dict(matrix), vector, unknown)


def _equations(jaxpr: Any, times: int) -> Iterator[tuple[Any, int]]:
  """Every equation and how often it runs, on all devices together."""
  for equation in jaxpr.eqns:
    yield equation, times
    name, params = equation.primitive.name, equation.params
    if name == 'cond':
      yield from _equations(_chosen(params).jaxpr, times)
      continue
    turns = params['length'] if name == 'scan' else 1
    turns *= math.prod(params['mesh'].shape.values()) if name == 'shard_map' else 1
    for inner in _inner(equation):
      yield from _equations(inner, times * turns)


def _chosen(params: dict[str, Any]) -> Any:
  """The heaviest branch; of those by platform the one for all that are not named."""
  branches, platforms = params['branches'], params.get('branches_platforms')
  if platforms and None in platforms:
    return branches[platforms.index(None)]
  return max(branches, key=_weight)


def _weight(branch: Any) -> int:
  total = work(branch)
  return sum(total.matrix.values()) + total.vector


def _inner(equation: Any) -> Iterator[Any]:
  """The jaxprs that an equation runs."""
  for value in equation.params.values():
    for each in value if isinstance(value, tuple | list) else (value,):
      if hasattr(each, 'eqns'):
        yield getattr(each, 'jaxpr', each)


def _dtype(equation: Any) -> str:
  return str(equation.invars[0].aval.dtype)


def _elements(variables: Any) -> int:
  return sum(math.prod(v.aval.shape) for v in variables if hasattr(v.aval, 'shape'))


def _product(equation: Any) -> int:
  (contracted, _), _ = equation.params['dimension_numbers']
  length = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
  return 2 * length * _elements(equation.outvars)


def _convolution(equation: Any) -> int:
  """Two a multiply-add of a tap of the kernel with an input; none for padding and holes."""
  params = equation.params
  image, kernel = (v.aval.shape for v in equation.invars)
  out = equation.outvars[0].aval.shape
  lhs, rhs, result = params['dimension_numbers']
  pairs = [
    _meetings(image[i], kernel[k], out[o], stride, low, spread, gap)
    for i, k, o, stride, (low, _), spread, gap in zip(
      *(lhs[2:], rhs[2:], result[2:], params['window_strides'], params['padding']),
      *(params['lhs_dilation'], params['rhs_dilation']),
      strict=True,
    )
  ]
  # kernel[rhs[1]] are the input features of one group; the batch of a grouped batch is shared out.
  batch = out[result[0]] * out[result[1]]
  return 2 * math.prod(pairs) * batch * kernel[rhs[1]]


@functools.cache
def _meetings(
  inputs: int, taps: int, outputs: int, stride: int, low: int, spread: int, gap: int
) -> int:
  """Pairs of an output and a tap along one axis that meet an input of the array itself."""
  at = np.arange(outputs)[:, None] * stride + np.arange(taps)[None] * gap - low
  return int(np.sum((at >= 0) & (at <= (inputs - 1) * spread) & (at % spread == 0)))
