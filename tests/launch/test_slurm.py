"""launch/slurm.sbatch on a real cluster of one node: stopped, requeued, and the same in the end."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from tests import tiny
from tests.faults import machines
from tests.launch import cluster

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(bool(cluster.missing()), reason=cluster.missing()),
]

_FIELDS = {'steps': 200, 'checkpoint.every': 10, 'eval.every': 5}
_PATH = f'{os.path.dirname(sys.executable)}:{os.environ["PATH"]}'
_DONE = ('COMPLETED', 'FAILED', 'CANCELLED')
# What the two tasks do, the states and codes that the job may end with, and its starts.
_ENDS = {
  'done': ('exit 0', 'exit 0', 'COMPLETED 0:0', 1),
  'bad input on both': ('exit 2', 'exit 2', 'FAILED 2:0', 1),
  'diverged': ('exit 1', 'exit 1', 'FAILED 1:0', 1),
  'bad input on one, asked to stop': ('exit 2', 'sleep 60', 'FAILED 2:0', 1),
  'bad input on one, crashed': ('exit 70', 'sleep 0.5; exit 2', 'FAILED 2:0', 1),
  'crashed': ('exit 70', 'sleep 60', 'FAILED 70:0', 2),
  'killed': ('sleep 60', 'kill -9 $$', 'FAILED 137:0', 2),
  'asked to stop': ('((SLURM_RESTART_COUNT > 1)) || exit 143', 'exit 0', 'COMPLETED 0:0', 3),
}
_PROGRAM = """#!/usr/bin/env bash
trap 'exit 143' TERM
task=TASK$SLURM_PROCID
eval "${!task}" & wait $!
"""


@pytest.fixture(scope='module')
def slurm():
  with cluster.started() as result:
    yield result


def _submit(slurm, log, *arguments, **environment) -> str:
  command = ('sbatch', '--parsable', '--ntasks=2', f'--output={log}', 'launch/slurm.sbatch')
  return slurm.run(*command, *arguments, **{'PATH': _PATH, **environment}).strip()


@pytest.fixture
def program(tmp_path):
  """A PATH with a depthjax that does what TASK0 and TASK1 say."""
  (tmp_path / 'depthjax').write_text(_PROGRAM)
  (tmp_path / 'depthjax').chmod(0o755)
  return f'{tmp_path}:{_PATH}'


@pytest.mark.parametrize('name', _ENDS)
def test_only_what_may_go_better_is_queued_again(slurm, program, tmp_path, name):
  first, second, ends, starts = _ENDS[name]
  environment = {'PATH': program, 'TASK0': first, 'TASK1': second, 'RESTARTS': '1', 'GRACE': '2'}
  number = _submit(slurm, tmp_path / 'log', 'train', **environment)
  cluster.until(lambda: slurm.job(number)['JobState'] in _DONE, name)
  job = slurm.job(number)
  log = (tmp_path / 'log').read_text()
  assert (f'{job["JobState"]} {job["ExitCode"]}', log.count(', start ')) == (ends, starts), log


def test_a_cancelled_job_is_not_queued_again(slurm, program, tmp_path):
  environment = {'PATH': program, 'TASK0': 'sleep 60', 'TASK1': 'sleep 60'}
  number = _submit(slurm, tmp_path / 'log', 'train', **environment)
  cluster.until(lambda: slurm.job(number)['JobState'] == 'RUNNING', 'a start')
  slurm.run('scancel', number)
  cluster.until(slurm.ready, 'the end')
  assert slurm.job(number)['JobState'] == 'CANCELLED'


def test_a_requeued_run_trains_as_one_that_was_never_stopped(slurm, tmp_path):
  one, two, alone = (tmp_path / name for name in ('one', 'two', 'alone'))
  machines.trained(one, **_FIELDS)  # By launch/local.sh; leaves the program that it ran in bin/.
  log = tmp_path / 'log'
  environment = {
    'JAX_NUM_CPU_DEVICES': '1',
    'PATH': f'{tmp_path / "bin"}:{os.environ["PATH"]}',
    'PYTHONPATH': str(tiny.ROOT),
  }
  number = _submit(slurm, log, 'train', *machines.arguments(two, **_FIELDS), **environment)
  cluster.until(lambda: machines.steps(two), log.read_text, 180)
  slurm.run('scontrol', 'requeue', number)
  cluster.until(lambda: log.read_text().count('resuming') == 1, log.read_text, 180)
  resumed = machines.logged(two)
  cluster.until(lambda: machines.logged(two) > resumed + 5, log.read_text, 180)
  slurm.run('scancel', '--signal=TERM', number)
  cluster.until(lambda: slurm.job(number)['JobState'] in _DONE, log.read_text, 180)

  text = log.read_text()
  assert slurm.job(number)['JobState'] == 'COMPLETED', text
  assert 'start 1, on' in text and 'start 2, on' in text and 'start 3, on' in text, text
  saved = int(text.split('stopped at step ')[1].split(';')[0])
  assert 'ended with 143, queued again' in text and f'resuming from step {saved}:' in text, text
  assert machines.record(two) == machines.record(one)
  _assert_as_one_process(alone, two, environment)


def _assert_as_one_process(alone, two, environment) -> None:
  """Sums over devices are taken in another order, and training makes such differences grow."""
  environment = {**os.environ, **environment, 'JAX_NUM_CPU_DEVICES': '2'}
  command = ['depthjax', 'train', *machines.arguments(alone, **_FIELDS)]
  subprocess.run(command, env=environment, cwd=tiny.ROOT, check=True, timeout=300)
  for a, b in itertools.islice(zip(machines.record(alone), machines.record(two), strict=True), 5):
    assert a['step'] == b['step'] and a.keys() == b.keys()
    for name in a.keys() - {'kind'}:
      np.testing.assert_allclose(b[name], a[name], rtol=2e-3, err_msg=f'{a["step"]} {name}')
