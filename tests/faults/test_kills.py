"""kill -9 at random moments: no saved step is lost, and the resumed run equals the reference."""

import os
import pathlib
import random
import shutil
import signal
import time

import pytest

from tests.faults import machines

_KEEP = 3  # checkpoint.keep


def _saving(workdir: pathlib.Path) -> set[str]:
  return {path.name for path in (workdir / 'checkpoints').glob('*tmp*')}


def _wait_for(run: machines.Run, phase: str, chance: random.Random) -> None:
  """Waits for a random moment of a phase of the run."""
  begin, old = machines.logged(run.workdir), _saving(run.workdir)
  if phase == 'start':
    time.sleep(chance.uniform(0.1, 5.0))
    run.until(lambda: len(run.pids()) == 2)
    return

  def reached() -> bool:
    if phase == 'step':
      return machines.logged(run.workdir) > begin
    if phase == 'save':
      return bool(machines.steps(run.workdir) and _saving(run.workdir) - old)
    last = machines.logged(run.workdir)
    return last > begin and last % 3 == 0 and machines.logged(run.workdir, 'eval') < last

  assert run.until(reached), 'the run ended before it could be killed'
  time.sleep(chance.uniform(0, 0.1))


@pytest.mark.parametrize('phases', [('start', 'save'), ('step', 'evaluation')])
def test_a_killed_run_loses_no_saved_step(tmp_path, reference_of_two, phases):
  chance = random.Random(str(phases))
  workdir = tmp_path / 'run'
  for phase in phases:
    with machines.running(workdir) as run:
      _wait_for(run, phase, chance)
      before = machines.steps(workdir)
      os.kill(run.pids()[chance.randint(0, 1)], signal.SIGKILL)
      moment = time.monotonic()
      assert run.end() != 0
    assert time.monotonic() - moment < 45  # The heartbeat timeout, on a busy machine.
    after = machines.steps(workdir)
    # Missing steps were replaced by newer ones.
    assert all(sum(new > step for new in after) >= _KEEP for step in set(before) - set(after))
  run = machines.trained(workdir)
  if after:  # Both kills may come before the first complete checkpoint.
    assert f'resuming from step {max(after)}' in run.out
  machines.assert_same(workdir, reference_of_two)
  assert not _saving(workdir)


def test_a_finished_run_that_is_started_again_does_not_change(tmp_path, reference):
  workdir = tmp_path / 'run'
  shutil.copytree(reference, workdir)
  machines.trained(workdir, count=1)
  machines.assert_same(workdir, reference)
