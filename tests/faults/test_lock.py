"""Two runs in one folder: the second is told who is there, and a dead one keeps nobody out."""

import signal
import socket
import subprocess
import sys

import pytest

from depthjax import processes
from depthjax.files.errors import InputError
from depthjax.train import lock, loop
from tests import tiny
from tests.faults import machines

_HOLDER = """
import pathlib, sys, time
from depthjax.train import lock
with lock.held(pathlib.Path(sys.argv[1])):
  print('held', flush=True)
  time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
  """A process that has the folder."""
  command = [sys.executable, '-c', _HOLDER, str(tmp_path)]
  with subprocess.Popen(command, cwd=tiny.ROOT, stdout=subprocess.PIPE, text=True) as process:
    try:
      assert process.stdout.readline() == 'held\n'
      yield process
    finally:
      process.kill()


def test_a_lock_names_its_holder_and_dies_with_it(tmp_path, holder):
  words = f'is in use by process {holder.pid} on {socket.gethostname()}; expected another workdir'
  with pytest.raises(InputError, match=words), lock.held(tmp_path):
    pass
  holder.send_signal(signal.SIGKILL)
  holder.wait()
  with lock.held(tmp_path), pytest.raises(InputError, match='is in use by'), lock.held(tmp_path):
    pass
  with lock.held(tmp_path):
    pass


@pytest.mark.parametrize('where', ['/proc/nope', '/dev/null/x', 'file', 'taken'])
def test_a_folder_that_cannot_be_made_or_locked_is_one_line(tmp_path, where):
  (tmp_path / 'file').touch()
  (tmp_path / 'taken' / lock.NAME).mkdir(parents=True)
  workdir = tmp_path / where
  with pytest.raises(InputError, match=f'^{workdir}: cannot be made or written to') as caught:
    with lock.held(workdir):
      pass
  assert '\n' not in str(caught.value)


def test_what_another_process_cannot_have_is_refused_here_too(tmp_path, monkeypatch):
  monkeypatch.setattr(processes, 'any_process', lambda flag: True)
  with pytest.raises(InputError, match=f'^{tmp_path}: cannot be had by another process'):
    with lock.held(tmp_path):
      pass


def test_the_loop_makes_its_folder_or_says_why_not():
  with pytest.raises(InputError, match='^/proc/nope/x: cannot be made or written to'):
    loop.train(machines.config(), '/proc/nope/x')


@pytest.mark.slow
def test_all_processes_of_a_second_run_end(tmp_path, holder):
  run = machines.train(tmp_path)
  assert run.process.returncode == 2, run.err
  told = [line for line in run.err.splitlines() if line.startswith('depthjax:')]
  assert len(told) == 2 and 'Traceback' not in run.err, run.err
  assert any(f'is in use by process {holder.pid} on' in line for line in told)
  assert {path.name for path in tmp_path.iterdir()} <= {'lock', 'bin'}
