"""Uninterrupted runs to compare interrupted ones with."""

import pytest

from tests.faults import machines


@pytest.fixture(scope='session')
def reference(tmp_path_factory):
  """The folder of an uninterrupted run of one process."""
  return machines.trained(tmp_path_factory.mktemp('reference') / 'run', count=1).workdir


@pytest.fixture(scope='session')
def reference_of_two(tmp_path_factory):
  """The folder of an uninterrupted run of two processes."""
  return machines.trained(tmp_path_factory.mktemp('reference_of_two') / 'run').workdir
