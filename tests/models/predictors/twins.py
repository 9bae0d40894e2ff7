"""The twins of the benchmarks, which are scripts."""

import importlib.util

import pytest

from tests import processes


def load():
  """The module; skips a test without PyTorch or transformers."""
  for name in ('torch', 'transformers'):
    pytest.importorskip(name, reason="torch and transformers are in the extra 'parity'")
  path = processes.ROOT / 'benchmarks/predictor_twins.py'
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module
