"""Arithmetic of a traced function, counted in its jaxpr, before any compiler.

The count is the model's, the same for every backend. It has no padding, no unused results, and no
recomputation except the function's own (remat). A scan counts once an iteration.
"""

import collections
import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jax.interpreters import partial_eval

# Primitives without arithmetic.
_MOVES = {
  *('broadcast_in_dim', 'reshape', 'transpose', 'squeeze', 'slice', 'dynamic_slice', 'concatenate'),
  *('dynamic_update_slice', 'pad', 'iota', 'copy', 'rev', 'gather', 'stop_gradient', 'copy_p'),
  *('device_put', 'sharding_constraint', 'split', 'expand_dims', 'platform_index', 'pvary'),
  *('optimization_barrier', 'bitcast_convert_type'),
}
_REDUCTIONS = ('reduce_', 'arg', 'cumsum', 'cumprod', 'cummax', 'cummin', 'cumlogsumexp')


class Work(NamedTuple):
  """Operations of all devices together; a multiply-add counts as 2."""

  matrix: dict[str, int]  # FLOPs of convolutions and matrix products, by type of the inputs.
  vector: int  # All other operations, one per element, comparisons and integers included.
  unknown_loops: int  # While loops; they count as one iteration.


def work(jaxpr: Any) -> Work:
  """The work of a closed jaxpr, such as `jax.jit(f).trace(*args).jaxpr`."""
  matrix: collections.Counter[str] = collections.Counter()
  vector = unknown = 0
  live, _ = partial_eval.dce_jaxpr(jaxpr.jaxpr, [True] * len(jaxpr.jaxpr.outvars))
  for equation, count in _equations(live, 1):
    name = equation.primitive.name
    if name in ('conv_general_dilated', 'dot_general'):
      flops = _convolution(equation) if name.startswith('conv') else _product(equation)
      matrix[str(equation.invars[0].aval.dtype)] += count * flops
    elif name == 'while':
      unknown += 1
    elif name not in _MOVES and not list(_inner(equation)):
      variables = equation.invars if name.startswith(_REDUCTIONS) else equation.outvars
      if 'scatter' in name:
        variables = equation.invars[-1:]
      vector += count * _elements(variables)
  return Work(dict(matrix), vector, unknown)


def _equations(jaxpr: Any, count: int) -> Iterator[tuple[Any, int]]:
  """Each equation and how often it runs, on all devices together."""
  for equation in jaxpr.eqns:
    yield equation, count
    name, params = equation.primitive.name, equation.params
    if name == 'cond':
      yield from _equations(_branch(params).jaxpr, count)
      continue
    repeats = params['length'] if name == 'scan' else 1
    repeats *= math.prod(params['mesh'].shape.values()) if name == 'shard_map' else 1
    for inner in _inner(equation):
      yield from _equations(inner, count * repeats)


def _branch(params: dict[str, Any]) -> Any:
  """The branch with the most work; of branches by platform, the default one."""
  branches, platforms = params['branches'], params.get('branches_platforms')
  if platforms and None in platforms:
    return branches[platforms.index(None)]
  return max(branches, key=_total)


def _total(branch: Any) -> int:
  total = work(branch)
  return sum(total.matrix.values()) + total.vector


def _inner(equation: Any) -> Iterator[Any]:
  """The jaxprs in an equation's parameters."""
  for value in equation.params.values():
    for each in value if isinstance(value, tuple | list) else (value,):
      if hasattr(each, 'eqns'):
        yield getattr(each, 'jaxpr', each)


def _elements(variables: Any) -> int:
  return sum(math.prod(v.aval.shape) for v in variables if hasattr(v.aval, 'shape'))


def _product(equation: Any) -> int:
  (contracted, _), _ = equation.params['dimension_numbers']
  length = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
  return 2 * length * _elements(equation.outvars)


def _convolution(equation: Any) -> int:
  """2 FLOPs per product of a kernel tap and an input value; none for padding and dilation."""
  params = equation.params
  image, kernel = (v.aval.shape for v in equation.invars)
  out = equation.outvars[0].aval.shape
  lhs, rhs, result = params['dimension_numbers']
  products = [
    _axis_products(image[i], kernel[k], out[o], stride, low, lhs_dilation, rhs_dilation)
    for i, k, o, stride, (low, _), lhs_dilation, rhs_dilation in zip(
      *(lhs[2:], rhs[2:], result[2:], params['window_strides'], params['padding']),
      *(params['lhs_dilation'], params['rhs_dilation']),
      strict=True,
    )
  ]
  # kernel[rhs[1]] is the number of input features of one group.
  batch = out[result[0]] * out[result[1]]
  return 2 * math.prod(products) * batch * kernel[rhs[1]]


@functools.cache
def _axis_products(
  inputs: int, taps: int, outputs: int, stride: int, low: int, lhs_dilation: int, rhs_dilation: int
) -> int:
  """Pairs of output and tap along one axis that read an input value, not padding or dilation."""
  at = np.arange(outputs)[:, None] * stride + np.arange(taps)[None] * rhs_dilation - low
  return int(np.sum((at >= 0) & (at <= (inputs - 1) * lhs_dilation) & (at % lhs_dilation == 0)))
