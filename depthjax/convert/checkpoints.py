"""Reads and writes state dicts as PyTorch and safetensors files, without unpickling code."""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from depthjax.files import atomic
from depthjax.files.errors import InputError, optional, readable_file

_RIGHT = 'a checkpoint as .safetensors, .pth, .pt or .bin'
_COMPLETE = 'a complete state dict'
_WRAPPERS = ('state_dict', 'model', 'net')


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Reads tensors by name, floats as float32; unwraps `state_dict`, `model` or `net`.

  Raises InputError: missing, truncated, another format, not a state dict, torch is not installed.
  """
  path = readable_file(path)
  extension = path.suffix.lower()
  if extension not in ('.safetensors', '.pth', '.pt', '.bin'):
    raise InputError(path, f'ends in {path.suffix!r}', _RIGHT)
  tensors = _read_safetensors(path) if extension == '.safetensors' else _read_torch(path)
  # bfloat16, which NumPy lacks, is not of the kind 'f'.
  tensors = {
    n: x if x.dtype.kind in 'biu' else x.astype(np.float32, copy=False) for n, x in tensors.items()
  }
  return {name.removeprefix('module.'): x for name, x in tensors.items()}  # of DataParallel


def check_output(path: str | os.PathLike) -> None:
  """Checks that `write` can write there; call it before long work starts.

  Raises InputError: as atomic.check_output; a PyTorch file, but torch is not installed.
  """
  if atomic.check_output(path, ('.pt', '.pth', '.safetensors')).suffix.lower() != '.safetensors':
    _torch(path)


def write(path: str | os.PathLike, tensors: Mapping[str, np.ndarray], wrapper: str) -> None:
  """Writes a state dict as .safetensors, or as .pt and .pth under the key `wrapper`.

  Raises InputError: as `check_output`; no free space or no permission.
  """
  check_output(path)
  extension = Path(path).suffix.lower()
  if extension == '.safetensors':
    plain = {name: np.ascontiguousarray(x) for name, x in tensors.items()}
    data = safetensors.numpy.save(plain, metadata={'format': 'pt'})
    return atomic.write_bytes(path, data, (extension,))
  torch = _torch(path)
  # An array with two names is stored once.
  stored = {id(x): torch.from_numpy(np.array(x)) for x in tensors.values()}
  with atomic.replacing(path, (extension,)) as temporary:
    torch.save({wrapper: {name: stored[id(x)] for name, x in tensors.items()}}, temporary)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
  try:
    with safetensors.safe_open(path, framework='numpy') as file:
      return {name: file.get_tensor(name) for name in file.keys()}
  except (safetensors.SafetensorError, OSError, TypeError) as error:
    wrong = f'is truncated or not a safetensors file ({error})'
    raise InputError(path, wrong, _COMPLETE) from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
  torch = _torch(path)
  try:
    stored = torch.load(path, map_location='cpu', weights_only=True)
  except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
    # Only the first line: the rest suggests to unpickle code.
    reason = [*str(error).strip().splitlines(), type(error).__name__][0]
    wrong = f'is truncated, or holds objects other than tensors ({reason})'
    raise InputError(path, wrong, _COMPLETE) from error
  if isinstance(stored, Mapping):
    stored = next((stored[n] for n in _WRAPPERS if isinstance(stored.get(n), Mapping)), stored)
  if not isinstance(stored, Mapping) or not all(isinstance(name, str) for name in stored):
    raise InputError(path, f'holds {type(stored).__name__}, not tensors by name', _COMPLETE)
  tensors = {name: x.detach() for name, x in stored.items() if isinstance(x, torch.Tensor)}
  return {n: (x.float() if x.is_floating_point() else x).numpy() for n, x in tensors.items()}


def _torch(path: str | os.PathLike) -> Any:
  with optional(path, 'torch', 'parity'):
    import torch
  return torch
