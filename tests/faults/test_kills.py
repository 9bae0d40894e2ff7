"""kill -9 at random moments: nothing saved is lost, and the end is that of a run that never died.

Twice by default; DEPTHJAX_KILLS=20 asks for more, and `pytest -s` then shows the table of them.
"""

import os
import pathlib
import random
import shutil
import signal
import time

import pytest

from tests.faults import machines

_KILLS = int(os.environ.get('DEPTHJAX_KILLS', '2'))
_IN_A_ROW = 3  # Kills that one run suffers before it may end.
_PHASES = ('save', 'evaluation', 'step', 'start')
_KEEP = 3  # checkpoint.keep


def _saving(workdir: pathlib.Path) -> set[str]:
  return {path.name for path in (workdir / 'checkpoints').glob('*tmp*')}


def _reach(run: machines.Run, phase: str, chance: random.Random) -> bool:
  """Waits for a random moment of a phase; False where the run ended before."""
  begin, left = machines.logged(run.workdir), _saving(run.workdir)
  if phase == 'start':
    time.sleep(chance.uniform(0.1, 5.0))
    return run.process.poll() is None
  if phase == 'step':
    further = chance.randint(1, 4)
    reached = run.until(lambda: machines.logged(run.workdir) >= min(begin + further, 11))
    time.sleep(chance.uniform(0, 0.1))
  elif phase == 'save':
    reached = run.until(lambda: machines.steps(run.workdir) and _saving(run.workdir) - left)
    time.sleep(chance.uniform(0, 0.15))
  else:
    old = machines.logged(run.workdir, 'eval')

    def evaluates():
      last = machines.logged(run.workdir)
      return machines.steps(run.workdir) and last > max(old, begin) and last % 3 == 0

    reached = run.until(evaluates)
    time.sleep(chance.uniform(0, 0.2))
  return reached and run.process.poll() is None


def _killed(run: machines.Run, phase: str, chance: random.Random) -> dict | None:
  """Kills one of the two and says what was there before, and what after."""
  begin = time.monotonic()
  if not _reach(run, phase, chance):
    return None
  run.until(lambda: len(run.pids()) == 2)
  victim, before = chance.randint(0, 1), machines.steps(run.workdir)
  os.kill(run.pids()[victim], signal.SIGKILL)
  moment = time.monotonic()
  assert run.end() != 0
  after = machines.steps(run.workdir)
  # What is gone, newer ones have pushed out.
  assert all(sum(new > step for new in after) >= _KEEP for step in set(before) - set(after))
  return {
    'phase': phase,
    'victim': victim,
    'moment': moment - begin,
    'gone after': time.monotonic() - moment,
    'step': machines.logged(run.workdir),
    'before': max(before, default=0),
    'after': max(after, default=0),
  }


def _rows(workdir: pathlib.Path, phases: list[str], chance: random.Random) -> list[dict]:
  """Kills one run in each phase in turn, as far as it gets, and lets it end."""
  rows = []
  for phase in [*phases, '']:
    with machines.running('train', workdir) as run:
      row = _killed(run, phase, chance) if phase else None
      if row is None:
        assert run.end() == 0, run.err[-3000:]
    if rows:
      begins = run.out.partition('resuming from step ')[2].partition(':')[0]
      rows[-1].setdefault('resumed', int(begins or 0) if 'parameters' in run.out else None)
    if row is None:
      return rows
    rows.append(row)
  raise AssertionError('unreachable')


@pytest.mark.slow
def test_killed_at_random_a_run_loses_nothing_that_was_saved(tmp_path, whole_of_two):
  chance = random.Random(f'{_KILLS} kills')
  rows, number = [], 0
  while len(rows) < _KILLS:
    workdir = tmp_path / str(number)
    phases = [_PHASES[(len(rows) + i) % len(_PHASES)] for i in range(_IN_A_ROW)]
    rows += (new := _rows(workdir, phases[: _KILLS - len(rows)], chance))
    number += 1
    assert new or number < 2 * _KILLS, 'the runs end before they can be killed'
    machines.assert_same(workdir, whole_of_two)
    assert not _saving(workdir)
  for row in rows:
    print('  '.join(f'{k} {v:.2f}' if isinstance(v, float) else f'{k} {v}' for k, v in row.items()))
    assert row['resumed'] in (row['after'], None)  # None where it was killed before it could say.
    assert row['after'] >= row['before']
    assert row['gone after'] < 45  # Half a minute of silence, and what a busy machine adds.


@pytest.mark.slow
def test_a_finished_run_that_is_started_again_stays_as_it_is(tmp_path, whole):
  workdir = tmp_path / 'run'
  shutil.copytree(whole, workdir)
  machines.trained(workdir, count=1)
  machines.assert_same(workdir, whole)
