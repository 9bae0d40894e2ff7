"""launch/slurm.sbatch on a real cluster of one node: stopped, requeued, and the same in the end."""

import os
import subprocess
import sys

import numpy as np
import pytest

from depthjax.train import log as log_lib
from tests import tiny
from tests.launch import cluster

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(bool(cluster.missing()), reason=cluster.missing()),
]

_FIELDS = {'steps': 80, 'checkpoint.every': 10}
_DONE = ('COMPLETED', 'FAILED', 'CANCELLED')
# What the two tasks do, the states and codes that the job may end with, and its starts.
_ENDS = {
  'done': ('exit 0', 'exit 0', 'COMPLETED 0:0', 1),
  'bad input on both': ('exit 2', 'exit 2', 'FAILED 2:0', 1),
  'diverged': ('exit 1', 'exit 1', 'FAILED 1:0', 1),
  'bad input on one, asked to stop': ('exit 2', 'sleep 60', 'FAILED 2:0', 1),
  'bad input on one, crashed': ('exit 70', 'exit 2', 'FAILED 2:0', 1),
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
  path = f'{os.path.dirname(sys.executable)}:{os.environ["PATH"]}'
  command = ('sbatch', '--parsable', '--ntasks=2', f'--output={log}', 'launch/slurm.sbatch')
  return slurm.run(*command, *arguments, **{'PATH': path, **environment}).strip()


@pytest.fixture
def program(tmp_path):
  """A PATH with a depthjax that does what TASK0 and TASK1 say."""
  (tmp_path / 'depthjax').write_text(_PROGRAM)
  (tmp_path / 'depthjax').chmod(0o755)
  return f'{tmp_path}:{os.environ["PATH"]}'


@pytest.mark.parametrize('name', _ENDS)
def test_only_what_may_go_better_is_queued_again(slurm, program, tmp_path, name):
  first, second, ends, starts = _ENDS[name]
  environment = {'PATH': program, 'TASK0': first, 'TASK1': second, 'RESTARTS': '1'}
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
  one, two, log = tmp_path / 'one', tmp_path / 'two', tmp_path / 'slurm.log'
  arguments = ['train', *tiny.arguments(two, **_FIELDS)]
  number = _submit(slurm, log, *arguments, JAX_NUM_CPU_DEVICES='2')

  def step() -> int:
    lines = log_lib.read_metrics(two, 'train') if (two / 'metrics.jsonl').exists() else []
    return lines[-1]['step'] if lines else 0

  cluster.until((two / 'checkpoints' / '10').exists, log.read_text, 300)
  slurm.run('scontrol', 'requeue', number)
  cluster.until(lambda: log.read_text().count('resuming') == 1, log.read_text, 300)
  resumed = step()
  cluster.until(lambda: step() > resumed + 5, log.read_text, 300)
  slurm.run('scancel', '--signal=TERM', number)
  cluster.until(lambda: slurm.job(number)['JobState'] in _DONE, log.read_text, 300)

  text = log.read_text()
  assert slurm.job(number)['JobState'] == 'COMPLETED', text
  assert [f'start {k}, on' in text for k in (1, 2, 3, 4)] == [True, True, True, False], text
  saved = int(text.split('stopped at step ')[1].split(';')[0])
  assert 'ended with 143, queued again' in text and f'resuming from step {saved}:' in text, text
  _train_alone(one)
  _assert_same(log_lib.read_metrics(one, 'train'), log_lib.read_metrics(two, 'train'))
  _assert_same(log_lib.read_metrics(one, 'eval'), log_lib.read_metrics(two, 'eval'))


def _train_alone(workdir) -> None:
  """One process with as many devices, never stopped."""
  command = [os.path.join(os.path.dirname(sys.executable), 'depthjax'), 'train']
  command += tiny.arguments(workdir, **_FIELDS)
  environment = {**os.environ, 'JAX_NUM_CPU_DEVICES': '4'}
  subprocess.run(command, env=environment, cwd=tiny.ROOT, check=True, timeout=600)


def _assert_same(ones, others) -> None:
  """As two processes are to one: sums over devices are taken in another order."""
  assert [line['step'] for line in ones] == [line['step'] for line in others]
  for one, other in zip(ones, others, strict=True):
    for name in one.keys() - {'step', 'kind', 'input_share'}:
      if not name.endswith('per_second'):
        np.testing.assert_allclose(other[name], one[name], rtol=2e-3, err_msg=name)
