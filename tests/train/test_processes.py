"""Two processes train like one; clusters that cannot be joined are refused."""

import numpy as np
import pytest

from depthjax import configuring, processes
from tests import processes as commands
from tests.commands import made
from tests.faults import machines


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path):
  """With FSDP over two devices, also of a frozen depth network."""
  one, two, weights = tmp_path / 'one', tmp_path / 'two', tmp_path / 'depth.safetensors'
  made.save_depth(weights)
  fields = {'steps': 3, 'batch_size': 8, 'model.width': 8, 'model.depth': 2, 'parallel.fsdp': 2}
  fields |= {'render.disparity': 'predicted', 'predictor.weights': weights}
  machines.trained(one, count=1, devices=4, **fields)
  machines.trained(two, count=2, devices=2, **fields)
  for a, b in zip(machines.record(one), machines.record(two), strict=True):
    assert a.keys() == b.keys() and a.pop('kind') == b.pop('kind')
    for name in a.keys() - {'learning_rate'}:
      rtol = 5e-3 if 'edge' in name else 2e-3  # Edges are found by a threshold.
      np.testing.assert_allclose(b[name], a[name], rtol=rtol, err_msg=name)
  assert machines.steps(two) == [2, 3] and machines.logged(two, 'eval') == 3


@pytest.mark.parametrize('cluster', ['nonsense', 'host:1,two,0', 'host:1,2'])
def test_a_malformed_cluster_is_refused(cluster):
  with pytest.raises(configuring.ConfigError, match='auto or host:port,count,index'):
    processes.start(cluster)


def test_auto_outside_a_cluster_is_refused():
  """In a new process: JAX raises another error once a device is in use."""
  done = commands.python("from depthjax import processes; processes.start('auto')")
  assert 'ConfigError: cluster is auto: ' in done.stderr
  assert 'host:port,count,index' in done.stderr
