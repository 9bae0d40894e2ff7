"""Names and layouts of PyTorch tensors for Flax variables.

PyTorch stores kernels as [out in h w] and matrices as [out in], Flax as [h w in out] and [in out].
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from depthjax.files.errors import InputError

# The last part of a name: Flax -> PyTorch.
_LEAVES = {'kernel': 'weight', 'scale': 'weight', 'bias': 'bias'}
_LEAVES |= {'mean': 'running_mean', 'var': 'running_var'}

_ROWS = 16
_ALIGNMENT = 64  # Bytes.

Rules = Sequence[tuple[str, str]]
Shape = tuple[int, ...]


def leaves(tree: Mapping[str, Any], *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
  """Yields the paths and values of nested dictionaries."""
  for key, value in tree.items():
    if isinstance(value, Mapping):
      yield from leaves(value, *path, key)
    else:
      yield (*path, key), value


def put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
  """Sets a value in nested dictionaries."""
  *parents, leaf = path
  for key in parents:
    tree = tree.setdefault(key, {})
  tree[leaf] = value


def torch_name(path: Sequence[str], rules: Rules) -> str:
  """Returns the PyTorch name of a Flax path, by the first rule whose pattern matches its module.

  A path is module names, then the name of the array; patterns match module names joined by '/', or
  the whole path, for arrays that are no kernel, scale or bias.

  Raises ValueError: no rule matches.
  """
  *module, leaf = path
  module = '/'.join(module if leaf in _LEAVES else path)
  for pattern, replacement in rules:
    match = re.fullmatch(pattern, module)
    if match:
      name = match.expand(replacement)
      return f'{name}.{_LEAVES[leaf]}' if leaf in _LEAVES else name
  raise ValueError(f'no name for {module}/{leaf}')


def to_torch(x: np.ndarray, dimensions: int = 0) -> np.ndarray:
  """Returns a Flax array in PyTorch's layout, with trailing 1s up to `dimensions` axes."""
  x = np.transpose(x, (3, 2, 0, 1) if np.ndim(x) == 4 else None)
  return np.reshape(x, x.shape + (1,) * (dimensions - x.ndim))


def from_torch(x: np.ndarray, shape: Shape) -> np.ndarray:
  """Inverse of `to_torch`: returns a Flax array of that shape, float32."""
  if len(shape) == 4:
    return np.ascontiguousarray(x.transpose(2, 3, 1, 0), np.float32)
  return transposed(x.reshape(x.shape[: len(shape)]))


def transposed(x: np.ndarray) -> np.ndarray:
  """A transposed matrix, or a vector as it is, float32.

  By blocks of rows, which is two to three times as fast for large matrices, and at an address that
  JAX can use on CPU without another copy.
  """
  memory = np.empty(4 * x.size + _ALIGNMENT, np.uint8)
  start = -memory.ctypes.data % _ALIGNMENT
  result = memory[start : start + 4 * x.size].view(np.float32).reshape(x.shape[::-1])
  for i in range(0, len(x), _ROWS):
    result[..., i : i + _ROWS] = x[i : i + _ROWS].T
  return result


def check(
  tensors: Mapping[str, np.ndarray],
  expected: Mapping[str, Shape],
  file: str | os.PathLike,
  right: str,
  *,
  exact: bool = True,
) -> None:
  """Checks names, shapes and values of a state dict against the `expected` shapes by name.

  `file` and `right`, what it should be, are for messages; `exact` refuses additional tensors.

  Raises InputError: missing or additional tensors, another shape, integers, NaN or infinite values.
  """
  names = sorted(expected)
  missing = [name for name in names if name not in tensors]
  if missing:
    raise InputError(file, f'has no tensor {_first(missing)}', right)
  more = sorted(set(tensors) - set(expected))
  if exact and more:
    raise InputError(file, f'has the additional tensor {_first(more)}', right)
  other = [name for name in names if tensors[name].shape != tuple(expected[name])]
  if other:
    found, shape = list(tensors[other[0]].shape), list(expected[other[0]])
    raise InputError(file, f'has {other[0]} as {found}{_more(other, 1)}', f'{shape}: {right}')
  bad = [n for n in names if tensors[n].dtype.kind in 'biu' or not np.isfinite(tensors[n]).all()]
  if bad:
    raise InputError(file, f'holds integers, NaN or infinite values in {_first(bad)}', right)


def _first(names: Sequence[str]) -> str:
  return ', '.join(map(repr, names[:3])) + _more(names, 3)


def _more(names: Sequence[str], shown: int) -> str:
  return f' and {len(names) - shown} more' if len(names) > shown else ''
