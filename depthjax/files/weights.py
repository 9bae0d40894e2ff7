"""Network weights in one .safetensors file, with the task and config as JSON metadata."""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from depthjax.files import renamed
from depthjax.files.atomic import write_bytes
from depthjax.files.errors import InputError, is_folder, readable_file

FILE_NAME = 'weights.safetensors'
_KEY = 'depthjax'
_RIGHT = 'a .safetensors file written by depthjax, such as by depthjax convert'


def file_of(path: str | os.PathLike) -> Path:
  """Returns the weights file of a folder, such as a workdir; another path is returned as is."""
  path = Path(path)
  return path / FILE_NAME if is_folder(path) else path


def save_weights(
  path: str | os.PathLike,
  variables: Mapping[str, Any],
  metadata: Mapping[str, Any],
  *,
  dtype: str = 'float32',
) -> Path:
  """Writes nested arrays as one .safetensors file and returns its path.

  Args:
    path: the file, or an existing folder, where the file is `weights.safetensors`.
    variables: nested dictionaries of arrays. The keys, joined by '/', are the tensor names. Empty
      dictionaries are not stored.
    metadata: a JSON object; 'task' is the name of the task.
    dtype: 'float32' or 'float16', for all floats; integers and booleans are stored unchanged.

  Raises InputError: no task in the metadata, metadata that JSON cannot hold, no arrays, NaN or
  infinite values (float16: beyond 65504), another extension, a missing folder.
  Raises ValueError: keys that are not strings, are empty or contain '/'; an unknown dtype.
  """
  path = file_of(path)
  if dtype not in ('float32', 'float16'):
    raise ValueError(f"unknown dtype {dtype!r}; expected 'float32' or 'float16'")
  if not isinstance(metadata.get('task'), str):
    raise InputError(path, 'would have no task', "metadata with the name of the task at 'task'")
  try:
    text = json.dumps(dict(metadata), allow_nan=False)
  except (TypeError, ValueError) as error:
    wrong = f'would hold metadata that JSON cannot store ({error})'
    raise InputError(path, wrong, 'plain values') from error
  tensors = {name: _stored(path, name, array, dtype) for name, array in _flatten(variables)}
  if not tensors:
    raise InputError(path, 'would hold no arrays', 'variables of a network')
  # Not save_file: its files are readable by their owner only.
  data = safetensors.numpy.save(tensors, metadata={_KEY: text})
  write_bytes(path, data, ('.safetensors',))
  return path


def load_weights(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, Any]]:
  """Reads a file of `save_weights`: (nested arrays, metadata), floats as float32.

  Raises InputError: missing, truncated, not safetensors, not from depthjax, NaN or infinite values.
  """
  if is_folder(path) and not file_of(path).exists():
    raise InputError(path, f'is a folder without {FILE_NAME}', _RIGHT)
  path = readable_file(file_of(path))
  try:
    with safetensors.safe_open(path, framework='numpy') as file:
      metadata = _metadata(path, file.metadata())
      variables: dict[str, Any] = {}
      for name in file.keys():
        *parents, leaf = name.split('/')
        tree = functools.reduce(lambda tree, key: tree.setdefault(key, {}), parents, variables)
        tree[leaf] = _checked(path, name, file.get_tensor(name))
  except (safetensors.SafetensorError, OSError, TypeError) as error:
    wrong = f'is truncated or not a safetensors file ({error})'
    raise InputError(path, wrong, f'a complete file: {_RIGHT}') from error
  return variables, metadata


def task_of(path: str | os.PathLike) -> str | None:
  """The task of a file of `save_weights`, or of the one of a folder; None for anything else."""
  path = file_of(path)
  try:
    with safetensors.safe_open(path, framework='numpy') as file:
      return _metadata(path, file.metadata())['task']
  except (safetensors.SafetensorError, OSError, TypeError, InputError):
    return None


def load_network(
  path: str | os.PathLike,
  described: Mapping[str, Callable[[Mapping[str, Any]], tuple[Any, Mapping[str, Any]]]],
) -> tuple[Any, dict[str, Any]]:
  """Reads the weights of a training run, and builds their network from its recorded config.

  Args:
    path: as in `load_weights`.
    described: for each allowed task, a function of the config that returns the network and its
      variables (or others of the same shapes). It may find tasks that it does not list.

  Returns (network, variables).

  Raises InputError: as `load_weights`; another task; no config, or that of another network; other
  names or shapes of arrays than the network's.
  """
  variables, metadata = load_weights(path)
  try:
    describe = described[metadata['task']]
  except KeyError as error:
    wrong = f'holds weights of the task {metadata["task"]!r}'
    right = f'weights of the task {" or ".join(map(repr, described))}'
    raise InputError(path, wrong, right) from error
  right = 'weights that a training run wrote'
  try:
    network, expected = describe(metadata['config'])
  except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
    wrong = f'does not describe its network ({type(error).__name__}: {error})'
    raise InputError(path, wrong, right) from error
  if _shapes(variables) != _shapes(expected):
    raise InputError(path, 'holds other arrays than the network that it describes', right)
  return network, variables


def digest(variables: Mapping[str, Any]) -> str:
  """SHA-256 of nested arrays and their names, whichever file they come from."""
  result = hashlib.sha256()
  for name, array in sorted(_flatten(variables), key=lambda item: item[0]):
    array = np.asarray(array, order='C')
    result.update(f'{name} {array.dtype} {array.shape}\n'.encode())
    result.update(array.reshape(-1).view(np.uint8))
  return result.hexdigest()


def _shapes(variables: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
  return {name: tuple(array.shape) for name, array in _flatten(variables)}


def _metadata(path: Path, stored: dict[str, str] | None) -> dict[str, Any]:
  try:
    metadata = json.loads((stored or {})[_KEY])
    metadata['task'] = renamed.task(metadata['task'])
    if isinstance(metadata.get('config'), Mapping):
      metadata['config'] = renamed.config(metadata['config'])
  except (KeyError, TypeError, ValueError) as error:
    raise InputError(path, 'has no depthjax metadata', _RIGHT) from error
  return metadata


def _flatten(tree: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
  for key, value in tree.items():
    if not isinstance(key, str) or not key or '/' in key:
      raise ValueError(f"key {key!r} at {prefix!r}; expected a non-empty string without '/'")
    if isinstance(value, Mapping):
      yield from _flatten(value, f'{prefix}{key}/')
    else:
      yield f'{prefix}{key}', value


def _stored(path: Path, name: str, array: Any, dtype: str) -> np.ndarray:
  """The array in C order, which safetensors assumes, and in the stored type."""
  array = np.asarray(array)
  if array.dtype.kind in 'biu':
    return np.asarray(array, order='C')
  with np.errstate(over='ignore'):  # overflow gives infinity, which is refused below
    stored = np.asarray(array.astype(np.float32).astype(dtype), order='C')
  if not np.isfinite(stored).all():
    found = 'NaN or infinite values' if dtype == 'float32' else 'values beyond float16'
    raise InputError(path, f'would hold {found} in {name}', f'finite values that fit {dtype}')
  return stored


def _checked(path: Path, name: str, array: np.ndarray) -> np.ndarray:
  if array.dtype.kind in 'biu':
    return array
  array = array.astype(np.float32)
  if not np.isfinite(array).all():
    raise InputError(path, f'holds NaN or infinite values in {name}', 'finite weights')
  return array
