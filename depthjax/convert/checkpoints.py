"""Tensors by name in files of PyTorch and safetensors; no code in a file is ever run."""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from depthjax.files import atomic
from depthjax.files.errors import InputError, readable_file

_RIGHT = 'a checkpoint as .safetensors, .pth, .pt or .bin'
_COMPLETE = 'a complete checkpoint of tensors by name'
_WRAPPERS = ('state_dict', 'model', 'net')
# What networks that were trained on several devices put before every name.
_PREFIX = 'module.'


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The tensors of a checkpoint by name, without a wrapper such as `state_dict`.

  Floats come as float32. Files of PyTorch need the package torch.

  Raises:
    InputError: missing, truncated, another kind of file, anything but tensors, no torch.
  """
  path = readable_file(path)
  kinds = {'.safetensors': _read_safetensors, '.pth': _read_torch, '.pt': _read_torch}
  kinds['.bin'] = _read_torch
  if path.suffix.lower() not in kinds:
    raise InputError(path, f'ends in {path.suffix!r}', _RIGHT)
  tensors = kinds[path.suffix.lower()](path)
  return {name.removeprefix(_PREFIX): _plain(x) for name, x in tensors.items()}


def check_output(path: str | os.PathLike) -> None:
  """Whether `write` can write there; call it before long work starts.

  Raises:
    InputError: as atomic.check_output; a file of PyTorch without the package torch.
  """
  if atomic.check_output(path, ('.pt', '.pth', '.safetensors')).suffix.lower() != '.safetensors':
    _torch(path)


def write(path: str | os.PathLike, tensors: Mapping[str, np.ndarray], wrapper: str) -> None:
  """Writes tensors for PyTorch: .safetensors, or .pt and .pth with them at `wrapper`.

  Raises:
    InputError: as `check_output`; a full disk or one without permission.
  """
  check_output(path)
  endings = (Path(path).suffix.lower(),)
  if endings == ('.safetensors',):
    plain = {name: np.ascontiguousarray(x) for name, x in tensors.items()}
    atomic.write_bytes(path, safetensors.numpy.save(plain, metadata={'format': 'pt'}), endings)
    return
  torch = _torch(path)
  # What has two names is one tensor, and stored once.
  stored = {id(x): torch.from_numpy(np.array(x)) for x in tensors.values()}
  with atomic.replacing(path, endings) as temporary:
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
    # The whole of what torch says fills a screen, with advice to run the file's code.
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    wrong = f'is truncated, or holds more than tensors ({reason})'
    raise InputError(path, wrong, _COMPLETE) from error
  tensors = _unwrapped(stored)
  if not isinstance(tensors, Mapping) or not all(isinstance(name, str) for name in tensors):
    raise InputError(path, f'holds {type(tensors).__name__}, not tensors by name', _COMPLETE)
  kept = {name: x for name, x in tensors.items() if isinstance(x, torch.Tensor)}
  return {
    name: (x.float() if x.is_floating_point() else x).detach().numpy() for name, x in kept.items()
  }


def _unwrapped(stored: Any) -> Any:
  for name in _WRAPPERS:
    if isinstance(stored, Mapping) and isinstance(stored.get(name), Mapping):
      return stored[name]
  return stored


def _plain(x: np.ndarray) -> np.ndarray:
  # Not only kind 'f': bfloat16 is of a kind of its own.
  return x if x.dtype.kind in 'biu' else x.astype(np.float32)


def _torch(path: Path) -> Any:
  """The module torch; an InputError about `path` where it is not installed."""
  try:
    import torch
  except ImportError as error:
    wrong = 'is a file of PyTorch, and the package torch is not installed'
    right = "a .safetensors file, or the optional packages: pip install 'depthjax[parity]'"
    raise InputError(path, wrong, right) from error
  return torch
