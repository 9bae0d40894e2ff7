"""Variables of ours by the names and in the layouts of PyTorch: what the converters share.

Theirs are kernels [out in h w] and matrices [out in], ours [h w in out] and [in out].
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from depthjax.files.errors import InputError

# Ours and theirs for the last part of a name.
_LEAVES = {'kernel': 'weight', 'scale': 'weight', 'bias': 'bias'}
_SHOWN = 3

Rules = Sequence[tuple[str, str]]
Shape = tuple[int, ...]


def leaves(tree: Mapping[str, Any], *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
  """The paths and values of nested dictionaries."""
  for key, value in tree.items():
    if isinstance(value, Mapping):
      yield from leaves(value, *path, key)
    else:
      yield (*path, key), value


def put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
  """Sets a value of nested dictionaries."""
  *parents, leaf = path
  for key in parents:
    tree = tree.setdefault(key, {})
  tree[leaf] = value


def theirs(path: Sequence[str], rules: Rules) -> str:
  """Their name for a path of ours: the first rule (pattern, replacement) that matches its module.

  Raises:
    ValueError: no rule matches.
  """
  *module, leaf = path
  module = '/'.join(module)
  for pattern, replacement in rules:
    match = re.fullmatch(pattern, module)
    if match:
      return f'{match.expand(replacement)}.{_LEAVES[leaf]}'
  raise ValueError(f'no name for {module}/{leaf}')


def to_theirs(x: np.ndarray, dimensions: int = 0) -> np.ndarray:
  """An array of ours in their layout, with ones appended up to so many dimensions."""
  x = np.transpose(x, (3, 2, 0, 1) if np.ndim(x) == 4 else None)
  return np.reshape(x, x.shape + (1,) * (dimensions - x.ndim))


def to_ours(x: np.ndarray, shape: Shape) -> np.ndarray:
  """The inverse, for an array of ours of that shape."""
  x = x.transpose(2, 3, 1, 0) if len(shape) == 4 else x.reshape(x.shape[: len(shape)]).T
  return np.ascontiguousarray(x, np.float32)


def check(
  tensors: Mapping[str, np.ndarray],
  expected: Mapping[str, Shape],
  file: str | os.PathLike,
  right: str,
  *,
  exact: bool = True,
) -> None:
  """Checks names, shapes and values of a state dict.

  Args:
    file, right: for the message; `right` says what the file should be.
    exact: whether further tensors are refused too.

  Raises:
    InputError: tensors are missing, too many, of another shape, not floats, NaN or infinite.
  """
  missing = sorted(set(expected) - set(tensors))
  if missing:
    raise InputError(file, f'has no {_first(missing)}', right)
  more = sorted(set(tensors) - set(expected))
  if exact and more:
    raise InputError(file, f'holds {_first(more)} too', f'nothing but the tensors of {right}')
  names = sorted(expected)
  other = [name for name in names if tensors[name].shape != tuple(expected[name])]
  if other:
    found = ', '.join(f'{name} as {list(tensors[name].shape)}' for name in other[:_SHOWN])
    wanted = ', '.join(str(list(expected[name])) for name in other[:_SHOWN])
    raise InputError(file, f'has {found}{_more(other)}', f'{wanted}: {right}')
  whole = [name for name in names if tensors[name].dtype.kind in 'biu']
  if whole:
    raise InputError(file, f'holds whole numbers in {_first(whole)}', right)
  wild = [name for name in names if not np.isfinite(tensors[name]).all()]
  if wild:
    raise InputError(file, f'holds NaN or infinite values in {_first(wild)}', right)


def _first(names: Sequence[str]) -> str:
  return ', '.join(map(repr, names[:_SHOWN])) + _more(names)


def _more(names: Sequence[str]) -> str:
  return f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
