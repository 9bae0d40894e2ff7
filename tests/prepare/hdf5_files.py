"""Writes HDF5 files; without h5py, NPZ files that a stand-in for h5py reads."""

import contextlib
import types

import numpy as np

try:
  import h5py
except ImportError:
  h5py = None


def write(path, strings=(), **arrays):
  """Writes arrays by name, and `strings` as a MATLAB cell array 'scenes'; returns the path."""
  path.parent.mkdir(parents=True, exist_ok=True)
  codes = {text: np.array([[ord(c)] for c in text], np.uint16) for text in strings}
  if h5py:
    with h5py.File(path, 'w') as file:
      for name, values in {**arrays, **codes}.items():
        file[name] = values
      if strings:
        scenes = file.create_dataset('scenes', (1, len(strings)), dtype=h5py.ref_dtype)
        for i, text in enumerate(strings):
          scenes[0, i] = file[text].ref
  else:
    scenes = {'scenes': np.array([strings])} if strings else {}
    with open(path, 'wb') as file:
      np.savez(file, **arrays, **codes, **scenes)
  return path


def _opened(path, mode):
  """Stands in for h5py.File in mode 'r'."""
  assert mode == 'r'
  with open(path, 'rb') as opened, np.load(opened) as file:
    return contextlib.nullcontext(dict(file))


MODULE = h5py or types.SimpleNamespace(File=_opened)
