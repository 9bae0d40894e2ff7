"""SIGTERM or SIGINT to one process or to both: all save the same step within seconds."""

import os
import re
import signal
import time

import pytest

from tests.faults import machines


@pytest.mark.parametrize('number, signalled', [(signal.SIGINT, (1,)), (signal.SIGTERM, (0, 1))])
def test_all_processes_stop_at_the_same_step(tmp_path, number, signalled):
  workdir = tmp_path / 'run'
  fields = {'steps': 5000, 'eval__every': 0, 'checkpoint__every': 0, 'log_every': 5}
  with machines.running(workdir, **fields) as run:
    assert run.until(lambda: machines.logged(workdir) >= 5), run.end()
    pids = run.pids()
    for index in signalled:
      os.kill(pids[index], number)
    begin = time.monotonic()
    assert run.end() == 143, run.err[-3000:]
  assert time.monotonic() - begin < 30
  stopped = re.findall(r'^depthjax: stopped at step (\d+); the same command', run.err, re.M)
  assert len(stopped) == 2 and len(set(stopped)) == 1, run.err[-3000:]
  assert machines.steps(workdir) == [int(stopped[0])]


def test_an_interrupted_evaluation_is_repeated(tmp_path, reference):
  workdir = tmp_path / 'run'
  with machines.running(workdir, count=1, eval__examples=40_000) as run:
    assert run.until(lambda: machines.logged(workdir) == 3), run.end()
    time.sleep(1)
    run.process.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    assert run.end() == 143, run.err[-3000:]
  assert time.monotonic() - begin < 30
  assert run.line().startswith('depthjax: stopped at step 3') and machines.steps(workdir) == [2, 3]
  machines.trained(workdir, count=1)
  assert machines.record(workdir) == machines.record(reference)
