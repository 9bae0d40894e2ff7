"""Two processes train like one."""

import os
import subprocess
import sys

import numpy as np
import pytest

from depthjax.train import log as log_lib
from tests import tiny
from tests.commands import made

_FIELDS = {
  'steps': 3,
  'checkpoint.every': 2,
  'parallel.fsdp': 2,
  'render.disparity': 'predicted',
}


def _run(workdir, command, devices, weights) -> None:
  environment = {
    **os.environ,
    'JAX_NUM_CPU_DEVICES': str(devices),
    'PATH': f'{os.path.dirname(sys.executable)}{os.pathsep}{os.environ["PATH"]}',
  }
  fields = {**_FIELDS, 'predictor.weights': weights}
  arguments = ['train', *tiny.arguments(workdir, **fields)]
  result = subprocess.run(
    [*command, *arguments],
    env=environment,
    cwd=tiny.ROOT,
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path):
  """With FSDP over two devices, also of a frozen depth network."""
  one, two, weights = tmp_path / 'one', tmp_path / 'two', tmp_path / 'depth.safetensors'
  made.save_depth(weights)
  _run(one, ['depthjax'], devices=4, weights=weights)
  _run(two, ['bash', 'launch/local.sh', '2'], devices=2, weights=weights)
  for kind in ('train', 'eval'):
    pairs = zip(log_lib.read_metrics(one, kind), log_lib.read_metrics(two, kind), strict=True)
    for a, b in pairs:
      assert a['step'] == b['step'] and a.keys() == b.keys()
      names = ('loss', 'l1', 'grad_norm') if kind == 'train' else a.keys() - {'step', 'kind'}
      for name in names:
        rtol = 5e-3 if 'edge' in name else 2e-3  # Edges are found by a threshold.
        np.testing.assert_allclose(b[name], a[name], rtol=rtol, err_msg=name)
  assert sorted(path.name for path in (two / 'checkpoints').iterdir()) == ['2', '3']
