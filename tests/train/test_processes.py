"""Two processes on one machine train as one does."""

import os
import subprocess
import sys

import numpy as np
import pytest

from depthjax.train import log as log_lib
from tests import tiny

_FIELDS = {'steps': 3, 'checkpoint.every': 2}


def _run(workdir, command, devices) -> None:
  environment = {
    **os.environ,
    'JAX_NUM_CPU_DEVICES': str(devices),
    'PATH': f'{os.path.dirname(sys.executable)}{os.pathsep}{os.environ["PATH"]}',
  }
  arguments = ['train', *tiny.arguments(workdir, **_FIELDS)]
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
def test_two_processes_train_as_one(tmp_path):
  one, two = tmp_path / 'one', tmp_path / 'two'
  _run(one, ['depthjax'], devices=4)
  _run(two, ['bash', 'launch/local.sh', '2'], devices=2)
  for kind in ('train', 'eval'):
    pairs = zip(log_lib.read_metrics(one, kind), log_lib.read_metrics(two, kind), strict=True)
    for a, b in pairs:
      assert a['step'] == b['step'] and a.keys() == b.keys()
      names = ('loss', 'l1', 'grad_norm') if kind == 'train' else a.keys() - {'step', 'kind'}
      for name in names:
        np.testing.assert_allclose(b[name], a[name], rtol=2e-3, err_msg=name)
  assert sorted(path.name for path in (two / 'checkpoints').iterdir()) == ['2', '3']
