"""Fixtures of the tests of `depthjax prepare`."""

import sys

import pytest

from tests.commands.conftest import fixture_refuse, fixture_run  # noqa: F401
from tests.prepare import hdf5_files


@pytest.fixture(autouse=True)
def fixture_h5py(monkeypatch):
  """Replaces h5py by a stand-in if it is not installed."""
  monkeypatch.setitem(sys.modules, 'h5py', hdf5_files.MODULE)
