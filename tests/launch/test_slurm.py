"""launch/slurm.sbatch on a cluster of one node: exit codes, requeueing, resuming."""

import pytest

from tests import processes
from tests.faults import machines
from tests.launch import cluster

pytestmark = pytest.mark.skipif(bool(cluster.missing()), reason=cluster.missing())

_FIELDS = {'steps': 200, 'checkpoint.every': 10, 'eval.every': 5}
_DONE = ('COMPLETED', 'FAILED', 'CANCELLED')
# Commands of the two tasks, final state and exit code of the job, and its number of starts.
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
  return slurm.run(*command, *arguments, **environment).strip()


@pytest.fixture
def program(tmp_path):
  """The environment for a fake depthjax that runs TASK0 and TASK1; by default both sleep."""
  (tmp_path / 'depthjax').write_text(_PROGRAM)
  (tmp_path / 'depthjax').chmod(0o755)
  path = f'{tmp_path}:{processes.ENVIRONMENT["PATH"]}'
  return {'PATH': path, 'RESTARTS': '1', 'GRACE': '2', 'TASK0': 'sleep 60', 'TASK1': 'sleep 60'}


@pytest.mark.parametrize('name', _ENDS)
def test_jobs_are_requeued_after_crashes_and_sigterm_only(slurm, program, tmp_path, name):
  first, second, ends, starts = _ENDS[name]
  environment = {**program, 'TASK0': first, 'TASK1': second}
  number = _submit(slurm, tmp_path / 'log', 'train', **environment)
  processes.until(lambda: slurm.job(number)['JobState'] in _DONE, name)
  job = slurm.job(number)
  log = (tmp_path / 'log').read_text()
  assert (f'{job["JobState"]} {job["ExitCode"]}', log.count(', start ')) == (ends, starts), log


def test_a_cancelled_job_is_not_requeued(slurm, program, tmp_path):
  number = _submit(slurm, tmp_path / 'log', 'train', **program)
  processes.until(lambda: slurm.job(number)['JobState'] == 'RUNNING')
  slurm.run('scancel', number)
  processes.until(slurm.ready)
  assert slurm.job(number)['JobState'] == 'CANCELLED'


def test_a_requeued_run_equals_an_uninterrupted_one(slurm, tmp_path):
  one, two, log = tmp_path / 'one', tmp_path / 'two', tmp_path / 'log'
  machines.trained(one, **_FIELDS)
  arguments = machines.arguments(two, **_FIELDS)
  number = _submit(slurm, log, 'train', *arguments, JAX_NUM_CPU_DEVICES='1')
  processes.until(lambda: machines.steps(two), log.read_text)
  slurm.run('scontrol', 'requeue', number)
  processes.until(lambda: log.read_text().count('resuming') == 1, log.read_text)
  resumed = machines.logged(two)
  processes.until(lambda: machines.logged(two) > resumed + 5, log.read_text)
  slurm.run('scancel', '--signal=TERM', number)
  processes.until(lambda: slurm.job(number)['JobState'] in _DONE, log.read_text)
  text = log.read_text()
  assert slurm.job(number)['JobState'] == 'COMPLETED', text
  assert 'start 1, on' in text and 'start 2, on' in text and 'start 3, on' in text, text
  saved = int(text.split('stopped at step ')[1].split(';')[0])
  assert 'ended with 143, requeued' in text and f'resuming from step {saved}:' in text, text
  assert machines.record(two) == machines.record(one)
