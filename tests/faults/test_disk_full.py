"""A full disk ends a run in one line; with room again the same command goes on to the same end."""

import contextlib
import errno
import os
import pathlib
import subprocess
import time

import jax
import numpy as np
import pytest

from depthjax.files import space, weights
from depthjax.files.errors import InputError
from depthjax.train import checkpoint, evaluate, loop
from depthjax.train import log as log_lib
from tests.faults import machines


@pytest.fixture
def disk(tmp_path):
  """A folder that is a small disk of its own."""
  folder = tmp_path / 'disk'
  folder.mkdir()
  command = ['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', str(folder)]
  if (done := subprocess.run(command, capture_output=True, text=True)).returncode:
    pytest.skip(f'no disk can be mounted here: {done.stderr.strip()}')
  yield folder
  subprocess.run(['umount', '--lazy', str(folder)], check=True)


def _resize(disk: pathlib.Path, size: str) -> None:
  subprocess.run(['mount', '-o', f'remount,size={size}', str(disk)], check=True)


def _fill(disk: pathlib.Path) -> None:
  with open(disk / 'ballast', 'ab', buffering=0) as file, contextlib.suppress(OSError):
    while True:
      file.write(bytes(512))


def test_a_save_that_fails_is_told_at_once_and_not_counted(disk):
  checkpoints = checkpoint.Checkpoints(disk / 'checkpoints')
  rng = np.random.default_rng(0)
  checkpoints.save(1, {'x': jax.numpy.asarray(rng.standard_normal(1000))})
  checkpoints.wait()
  with pytest.raises(Exception, match='No space left'):
    checkpoints.save(2, {'x': jax.numpy.asarray(rng.standard_normal(500_000))})
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
      checkpoints.check()
      time.sleep(0.01)
  with contextlib.suppress(Exception):
    checkpoints.close()
  checkpoints = checkpoint.Checkpoints(disk / 'checkpoints')
  assert checkpoints.latest() == 1
  checkpoints.close()


@pytest.mark.parametrize('filename', ['/dev/shm/part', b'/dev/shm/part', None, 3])
def test_the_disk_that_is_full_is_the_one_named(tmp_path, filename):
  name = '/dev/shm/part' if isinstance(filename, str | bytes) else tmp_path
  with pytest.raises(InputError, match=f'^{name}: cannot be written .No space left on device.'):
    with space.needed(tmp_path, 'free space'):
      try:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), filename)
      except OSError as error:
        raise RuntimeError(f'a batch cannot be sent: {error}') from error


# What is written when the disk is full, and when that is.
_PLACES = {
  'checkpoint': (checkpoint.Checkpoints, 'save', 2),
  'metrics': (log_lib.Log, 'write', 8),
  'events': (log_lib.Log, 'pictures', 1),
  'weights': (weights, 'save_weights', 2),
  'pictures': (evaluate, 'write_pictures', 2),
}


@pytest.fixture(scope='module')
def sound(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('sound') / 'run'
  loop.train(machines.config(), workdir)
  return workdir


@pytest.mark.slow
@pytest.mark.parametrize('place', _PLACES)
def test_whatever_hits_the_full_disk(disk, sound, monkeypatch, place):
  home, name, call = _PLACES[place]
  write, calls = getattr(home, name), []

  def full(*args, **kwargs):
    calls.append(1)
    if len(calls) == call:
      _fill(disk)
    return write(*args, **kwargs)

  monkeypatch.setattr(home, name, full)
  with pytest.raises(InputError) as caught:
    loop.train(machines.config(), disk / 'run')
  monkeypatch.undo()
  line = str(caught.value)
  assert '\n' not in line and str(disk / 'run') in line and 'No space left on device' in line
  assert 'expected' in line and 'space' in line
  saved = machines.steps(disk / 'run')
  (disk / 'ballast').unlink()
  loop.train(machines.config(), disk / 'run')
  assert len(calls) >= call and (not saved or max(saved) >= 2)
  machines.assert_same(disk / 'run', sound)


@pytest.mark.slow
@pytest.mark.parametrize('count', [1, 2])
def test_the_command_on_a_disk_that_is_too_small(disk, request, count):
  """Exit code 2, one line, and none of two processes hangs."""
  _resize(disk, '128k')
  (disk.parent / 'bin').mkdir(exist_ok=True)
  begin = time.monotonic()
  run = machines.train(disk / 'run', count=count)
  assert time.monotonic() - begin < 90
  assert run.process.returncode == 2, run.err[-3000:]
  told = [line for line in run.err.splitlines() if line.startswith('depthjax:')]
  assert count > 1 or run.err == f'{told[0]}\n'
  assert 'No space left on device' in told[0] and f'depthjax: {disk}/run' in told[0]
  assert 'free space' in told[0]
  _resize(disk, '4m')
  machines.trained(disk / 'run', count=count)
  whole = request.getfixturevalue('whole' if count == 1 else 'whole_of_two')
  machines.assert_same(disk / 'run', whole)
