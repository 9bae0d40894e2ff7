"""The lock of a workdir: a second run is refused; a killed run holds no lock."""

import signal
import socket
import subprocess
import sys

import pytest

from depthjax import processes
from depthjax.files.errors import InputError
from depthjax.train import lock
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
  """A process that holds the lock of the folder."""
  command = [sys.executable, '-c', _HOLDER, str(tmp_path)]
  with subprocess.Popen(command, cwd=tiny.ROOT, stdout=subprocess.PIPE, text=True) as process:
    try:
      assert process.stdout.readline() == 'held\n'
      yield process
    finally:
      process.kill()


def test_the_lock_names_its_holder_and_ends_with_it(tmp_path, holder):
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
def test_a_folder_that_cannot_be_created_or_written_is_refused(tmp_path, where):
  (tmp_path / 'file').touch()
  (tmp_path / 'taken' / 'lock').mkdir(parents=True)
  with pytest.raises(InputError, match=f'^{tmp_path / where}: cannot be created or written'):
    with lock.held(tmp_path / where):
      pass


def test_a_refusal_in_another_process_applies_to_all(tmp_path, monkeypatch):
  monkeypatch.setattr(processes, 'any_process', lambda flag: True)
  with pytest.raises(InputError, match=f'^{tmp_path}: cannot be used by another process'):
    with lock.held(tmp_path):
      pass


def test_all_processes_of_a_second_run_exit(tmp_path, holder):
  run = machines.train(tmp_path)
  assert run.process.returncode == 2 and 'Traceback' not in run.err, run.err
  lines = [line for line in run.err.splitlines() if line.startswith('depthjax:')]
  assert len(lines) == 2 and f'is in use by process {holder.pid} on' in run.err
  assert {path.name for path in tmp_path.iterdir()} == {'lock'}
