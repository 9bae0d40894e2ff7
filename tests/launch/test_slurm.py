"""launch/slurm.sbatch on a real cluster of one node: stopped, requeued, and the same in the end."""

import itertools
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
_PATH = f'{os.path.dirname(sys.executable)}:{os.environ["PATH"]}'
_TIMES = {'examples_per_second', 'steps_per_second', 'input_share'}
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
  alone, one, two = (tmp_path / name for name in ('alone', 'one', 'two'))
  log = tmp_path / 'slurm.log'
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
  assert 'start 1, on' in text and 'start 2, on' in text and 'start 3, on' in text, text
  saved = int(text.split('stopped at step ')[1].split(';')[0])
  assert 'ended with 143, queued again' in text and f'resuming from step {saved}:' in text, text
  _train(one, ['bash', 'launch/local.sh', '2'], devices=2)
  _assert_same(one, two, steps=_FIELDS['steps'])
  _train(alone, ['depthjax'], devices=4)
  # Sums over devices are taken in another order, and training makes such differences grow.
  _assert_same(alone, two, steps=5, rtol=2e-3)


def _train(workdir, command, devices) -> None:
  """Trains without a stop; on a busy machine Gloo's 30 seconds to connect may take two tries."""
  command = [*command, 'train', *tiny.arguments(workdir, **_FIELDS)]
  environment = {**os.environ, 'JAX_NUM_CPU_DEVICES': str(devices), 'PATH': _PATH, 'RESTARTS': '3'}
  subprocess.run(command, env=environment, cwd=tiny.ROOT, check=True, timeout=600)


def _assert_same(one, other, steps, rtol=0.0) -> None:
  """The same losses and gradients, and if all steps are compared the same scores."""
  kinds = ('train', 'eval') if steps == _FIELDS['steps'] else ('train',)
  for kind in kinds:
    pairs = zip(log_lib.read_metrics(one, kind), log_lib.read_metrics(other, kind), strict=True)
    for a, b in itertools.islice(pairs, steps):
      assert a['step'] == b['step'] and a.keys() == b.keys()
      for name in a.keys() - _TIMES - {'kind'}:
        np.testing.assert_allclose(b[name], a[name], rtol=rtol, err_msg=f'{a["step"]} {name}')
