"""A full disk ends a run with one line; with free space the same command resumes it."""

import contextlib
import functools
import pathlib
import subprocess

import jax
import numpy as np
import pytest

from depthjax.files import weights
from depthjax.train import checkpoint, loop
from depthjax.train import log as log_lib
from tests import messages, processes
from tests.faults import machines

# Orbax's writes that outlast a failed one raise in threads that nobody waits for.
pytestmark = pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')


@pytest.fixture
def disk(tmp_path):
  """The mount point of a small tmpfs."""
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


def test_a_failed_save_is_reported_at_once_and_leaves_no_checkpoint(disk):
  checkpoints = checkpoint.Checkpoints(disk / 'checkpoints')
  rng = np.random.default_rng(0)
  checkpoints.save(1, {'x': jax.numpy.asarray(rng.standard_normal(1000))}, {})
  checkpoints.wait()
  with pytest.raises(Exception, match='No space left'):
    checkpoints.save(2, {'x': jax.numpy.asarray(rng.standard_normal(500_000))}, {})
    processes.until(checkpoints.check, seconds=30)
  with contextlib.suppress(Exception):
    checkpoints.close()
  with contextlib.closing(checkpoint.Checkpoints(disk / 'checkpoints')) as checkpoints:
    assert list(checkpoints.records()) == [1]


# The function whose call of this number finds the disk full.
_WRITERS = {
  'checkpoint': (checkpoint.Checkpoints, 'save', 2),
  'metrics': (log_lib.Log, 'write', 8),
  'events': (log_lib.Log, 'pictures', 1),
  'weights': (weights, 'save_weights', 2),
}


@pytest.fixture(scope='module')
def in_process(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('in_process') / 'run'
  loop.train(machines.config(), workdir)
  return workdir


@pytest.mark.parametrize('writer', _WRITERS)
def test_any_write_may_find_the_disk_full(disk, in_process, monkeypatch, writer):
  home, name, call = _WRITERS[writer]
  write, calls = getattr(home, name), []

  def full(*args, **kwargs):
    calls.append(1)
    if len(calls) == call:
      _fill(disk)
    return write(*args, **kwargs)

  monkeypatch.setattr(home, name, full)
  run = functools.partial(loop.train, machines.config(), disk / 'run')
  messages.refused(run, disk / 'run', 'No space left on device', 'free space')
  monkeypatch.undo()
  saved = machines.steps(disk / 'run')
  (disk / 'ballast').unlink()
  run()
  assert len(calls) >= call and (not saved or max(saved) >= 2)
  machines.assert_same(disk / 'run', in_process)


@pytest.mark.parametrize('count', [1, 2])
def test_the_command_on_a_full_disk_fails_with_one_line(disk, request, count):
  _resize(disk, '128k')
  run = machines.train(disk / 'run', count=count)
  assert run.process.returncode == 2, run.err[-3000:]
  line = next(line for line in run.err.splitlines() if line.startswith(f'depthjax: {disk}/run'))
  assert 'No space left on device' in line and 'free space' in line.partition('expected')[2]
  _resize(disk, '4m')
  machines.trained(disk / 'run', count=count)
  reference = request.getfixturevalue('reference' if count == 1 else 'reference_of_two')
  machines.assert_same(disk / 'run', reference)
