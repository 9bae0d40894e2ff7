"""Runs that never failed, to compare those with that did."""

import pytest

from tests.faults import machines


@pytest.fixture(scope='session')
def whole(tmp_path_factory):
  """The folder of an uninterrupted run of one process."""
  workdir = tmp_path_factory.mktemp('whole') / 'run'
  machines.trained(workdir, count=1)
  return workdir


@pytest.fixture(scope='session')
def whole_of_two(tmp_path_factory):
  """The folder of an uninterrupted run of two processes."""
  workdir = tmp_path_factory.mktemp('whole_of_two') / 'run'
  machines.trained(workdir)
  return workdir
