"""launch/local.sh with a fake depthjax: exit codes, restarts, signals and orphans."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from tests import processes

# Runs TASK0, TASK1, ... once all have started; each start adds a line to the file `starts`.
_PROGRAM = """#!/usr/bin/env bash
IFS=, read -r address count index <<<"${*: -1}"
trap 'sleep "${SAVING:-0}"; echo "$index" >>"$FOLDER/saved"; exit 143' TERM
[[ ${DEAF-} == "$index" ]] && trap '' TERM
echo "process $index"
echo "$$ $JAX_LOCAL_DEVICE_IDS $*" >>"$FOLDER/starts"
until (($(grep -c -e "$address," "$FOLDER/starts") == count)); do sleep 0.05; done
task=TASK$index
eval "${!task}" & wait $!
"""
_SLEEP = 'sleep 60'


@pytest.fixture
def launch(tmp_path):
  """A function that starts launch/local.sh with a task for each process."""
  (tmp_path / 'starts').touch()
  (tmp_path / 'bin').mkdir()
  (tmp_path / 'bin' / 'depthjax').write_text(_PROGRAM)
  (tmp_path / 'bin' / 'depthjax').chmod(0o755)
  started = []

  def start(*tasks: str, **environment: str) -> subprocess.Popen:
    environment = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'GRACE': '1', **environment}
    environment |= {'PATH': f'{tmp_path / "bin"}:{os.environ["PATH"]}', 'FOLDER': str(tmp_path)}
    environment |= {f'TASK{i}': task for i, task in enumerate(tasks)}
    command = ['bash', 'launch/local.sh', str(len(tasks)), 'train', '--workdir=a b']
    with open(tmp_path / 'output', 'ab') as output:
      streams = {'stdout': output, 'stderr': output}
      process = subprocess.Popen(
        command, cwd=processes.ROOT, env=environment, process_group=0, **streams
      )
    started.append(process)
    return process

  yield start
  for process in started:
    process.kill()
    process.wait()


def _starts(folder: pathlib.Path, count: int) -> list[str]:
  """The lines of `starts`, once there are `count` of them."""
  lines = lambda: (folder / 'starts').read_text().splitlines()  # noqa: E731
  processes.until(lambda: len(lines()) >= count, (folder / 'output').read_text, 30)
  return lines()


def _ended(lines: list[str]) -> bool:
  """Whether all processes that wrote these lines have ended."""
  return not processes.alive(*(line.split()[0] for line in lines))


@pytest.mark.parametrize(
  'tasks, restarts, code, starts',
  [
    (('exit 0', 'exit 0'), 2, 0, 1),
    (('exit 2', 'exit 2'), 2, 2, 1),
    (('exit 1', _SLEEP), 2, 1, 1),
    (('exit 70', 'sleep 0.3; exit 2'), 2, 2, 1),
    (('exit 0', 'exit 70'), 0, 70, 1),
    ((_SLEEP, 'exit 70'), 1, 70, 2),
    (('(($(wc -l <$FOLDER/starts) > 2)) || kill -9 $$', 'exit 0'), 2, 0, 2),
  ],
)
def test_all_processes_restart_after_a_crash_only(launch, tmp_path, tasks, restarts, code, starts):
  process = launch(*tasks, RESTARTS=str(restarts))
  assert process.wait(30) == code, (tmp_path / 'output').read_text()
  lines = _starts(tmp_path, 0)
  assert len(lines) == starts * len(tasks)
  processes.until(lambda: _ended(lines), seconds=10)
  addresses = {line.split('--cluster=')[1].split(',')[0] for line in lines}
  assert len(addresses) == starts, 'each start needs another port'


def test_a_second_interrupt_kills_all_processes(launch, tmp_path):
  process = launch(_SLEEP, _SLEEP, SAVING='60')
  lines = _starts(tmp_path, 2)
  process.send_signal(signal.SIGINT)
  time.sleep(0.3)
  assert process.poll() is None
  process.send_signal(signal.SIGINT)
  assert process.wait(10) == 130
  processes.until(lambda: _ended(lines), seconds=10)


def test_a_process_that_ignores_sigterm_is_killed(launch, tmp_path):
  assert launch(_SLEEP, 'exit 134', DEAF='0').wait(30) == 134
  processes.until(lambda: _ended(_starts(tmp_path, 2)), seconds=10)


def test_flags_are_passed_on_and_the_output_of_the_first_process_is_shown(launch, tmp_path):
  assert launch('exit 0', 'exit 0', 'exit 0', PORT='1234').wait(30) == 0
  lines = sorted(line.split(' ', 2)[2] for line in _starts(tmp_path, 3))
  assert lines == [f'train --workdir=a b --cluster=localhost:1234,3,{i}' for i in range(3)]
  assert (tmp_path / 'output').read_text() == 'process 0\n'


@pytest.mark.parametrize('gpus, ids', [('0,1', ['0', '1']), ('4,5,6,7', ['0,1', '2,3'])])
def test_the_gpus_are_divided_among_the_processes(launch, tmp_path, gpus, ids):
  assert launch('exit 0', 'exit 0', CUDA_VISIBLE_DEVICES=gpus).wait(30) == 0
  assert sorted(line.split()[1] for line in _starts(tmp_path, 2)) == ids


def test_an_indivisible_number_of_gpus_is_refused(launch, tmp_path):
  assert launch('exit 0', 'exit 0', CUDA_VISIBLE_DEVICES='0,1,2').wait(30) == 2
  assert '3 GPUs cannot be divided among 2 processes' in (tmp_path / 'output').read_text()
  assert _starts(tmp_path, 0) == []
  assert launch('exit 0', 'exit 0', CUDA_VISIBLE_DEVICES='0,1,2', JAX_PLATFORMS='cpu').wait(30) == 0


@pytest.mark.parametrize('arguments', [[], ['train'], ['0', 'train'], ['2']])
def test_a_wrong_command_line_prints_the_usage(arguments):
  result = processes.run('bash', 'launch/local.sh', *arguments)
  assert (result.returncode, result.stderr) == (2, 'usage: local.sh COUNT VERB [FLAGS]\n')


def test_sigterm_is_forwarded_and_the_processes_are_waited_for(launch, tmp_path):
  process = launch(_SLEEP, _SLEEP, _SLEEP, RESTARTS='3', SAVING='4', GRACE='1')
  lines = _starts(tmp_path, 3)
  process.send_signal(signal.SIGTERM)
  assert process.wait(30) == 143
  assert sorted((tmp_path / 'saved').read_text().split()) == ['0', '1', '2']
  assert _ended(lines) and len(_starts(tmp_path, 0)) == 3


@pytest.mark.parametrize('kill', [os.kill, os.killpg])
def test_kill_leaves_no_orphans(launch, tmp_path, kill):
  process = launch(_SLEEP, _SLEEP, RESTARTS='3')
  lines = _starts(tmp_path, 2)
  kill(process.pid, signal.SIGKILL)
  process.wait(30)
  processes.until(lambda: _ended(lines), seconds=10)
