"""Training runs of one and two processes for fault injection."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
from collections.abc import Callable, Iterator

import jax
import ml_collections
import numpy as np

from depthjax.files import weights
from depthjax.train import log as log_lib
from tests import processes, tiny

RATES = ('examples_per_second', 'steps_per_second', 'input_share')
# Even smaller than tiny.FIELDS.
FIELDS = {
  **tiny.FIELDS,
  **{'steps': 12, 'batch_size': 4, 'eval.every': 3, 'eval.pictures': 1, 'checkpoint.every': 2},
  **{'model.width': 4, 'model.depth': 1},
}
_LIMIT = 120  # Seconds to wait for a condition.


def config(**fields) -> ml_collections.ConfigDict:
  """The config of the smallest run, with fields replaced; '__' in a name means '.'."""
  return tiny.config(**{**FIELDS, 'parallel.devices': 1, **tiny.dotted(fields)})


def arguments(workdir, **fields) -> list[str]:
  """The same config as arguments of `depthjax train`."""
  return tiny.arguments(workdir, **{**FIELDS, **tiny.dotted(fields)})


class Run:
  """`count` processes of `depthjax train`, started by launch/local.sh, and their output."""

  def __init__(
    self, workdir: pathlib.Path, *flags: str, count: int = 2, devices: int = 1, **fields
  ):
    self.workdir = workdir
    environment = {
      **processes.ENVIRONMENT,
      'GRACE': '5',  # Seconds after which launch/local.sh kills the remaining processes.
      'JAX_NUM_CPU_DEVICES': str(devices),
      'JAX_PLATFORMS': 'cpu',
    }
    environment.pop('TPU_LIBRARY_PATH', None)  # Set by JAX in this process; else a warning.
    launch = ['bash', 'launch/local.sh', str(count)] if count > 1 else ['depthjax']
    self.process = subprocess.Popen(
      [*launch, 'train', *arguments(workdir, **fields), *flags],
      env=environment,
      cwd=tiny.ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    self.out = self.err = ''

  def pids(self) -> list[int]:
    """Process ids, found by the workdir on their command lines, in the order of the cluster."""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
      with contextlib.suppress(OSError):
        words = path.read_bytes().decode(errors='replace').split('\0')
        if f'--workdir={self.workdir}' in words and 'launch/local.sh' not in words:
          number = re.search(r'--cluster=.*,(\d+)$', '\n'.join(words), re.M)
          found.append((int(number[1]) if number else 0, int(path.parent.name)))
    return [pid for _, pid in sorted(found)]

  def until(self, condition: Callable[[], bool]) -> bool:
    """Waits for a condition; False if the run has ended."""
    processes.until(lambda: condition() or self.process.poll() is not None, seconds=_LIMIT)
    return self.process.poll() is None

  def end(self) -> int:
    """Waits for all processes of the command; returns its exit code."""
    self.out, self.err = self.process.communicate(timeout=_LIMIT)
    processes.until(lambda: not self.pids(), 'for processes to end', _LIMIT)
    return self.process.returncode

  def line(self) -> str:
    """The error message; asserts that there is no traceback."""
    lines = [line for line in self.err.splitlines() if line.startswith('depthjax:')]
    assert lines and 'Traceback' not in self.err, self.err[-3000:]
    return lines[0]

  def kill(self) -> None:
    """Kills the remaining processes."""
    for pid in [*self.pids(), self.process.pid]:
      with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def running(workdir: pathlib.Path, *flags: str, **fields) -> Iterator[Run]:
  """A run that is killed at the end of the block."""
  run = Run(workdir, *flags, **fields)
  try:
    yield run
  finally:
    run.kill()


def train(workdir: pathlib.Path, *flags: str, **fields) -> Run:
  """A training run, after its end."""
  with running(workdir, *flags, **fields) as run:
    run.end()
  return run


def trained(workdir: pathlib.Path, *flags: str, **fields) -> Run:
  """A training run that succeeded."""
  run = train(workdir, *flags, **fields)
  assert run.process.returncode == 0, run.err[-3000:]
  return run


def steps(workdir: pathlib.Path) -> list[int]:
  """Steps of the complete checkpoints of a run."""
  folder = workdir / 'checkpoints'
  names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
  return sorted(int(name) for name in names if name.isdigit())


def logged(workdir: pathlib.Path, kind: str = 'train') -> int:
  """The last step in the log; 0 if there is none."""
  try:
    return max((line['step'] for line in log_lib.read_metrics(workdir, kind)), default=0)
  except (OSError, ValueError):  # No file yet, or an incomplete line.
    return 0


def record(workdir: pathlib.Path) -> list[dict]:
  """All lines of the log without rates."""
  lines = [*log_lib.read_metrics(workdir), *log_lib.read_metrics(workdir, 'eval')]
  return [{k: v for k, v in line.items() if k not in RATES} for line in lines]


def assert_same(workdir: pathlib.Path, other: pathlib.Path) -> None:
  """Asserts equal logs, checkpoint steps and weights, but for the command in the provenance."""
  assert record(workdir) == record(other)
  assert steps(workdir) == steps(other)
  (one, about), (two, others) = (weights.load_weights(path) for path in (workdir, other))
  jax.tree.map(np.testing.assert_array_equal, one, two)
  assert {**about, 'provenance': 0} == {**others, 'provenance': 0}
