"""Runs commands with this source tree, and waits for conditions and processes."""

import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[1]
# Commands of this environment and of this tree.
ENVIRONMENT = {
  **os.environ,
  'PYTHONPATH': str(ROOT),
  'PATH': f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}',
}


def run(*command, cwd=ROOT, timeout=120, **environment) -> subprocess.CompletedProcess:
  """The result of a command, with its output as text."""
  environment = {**ENVIRONMENT, **environment}
  return subprocess.run(
    command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout
  )


def python(code: str, *arguments, **options) -> subprocess.CompletedProcess:
  """The result of a Python program."""
  return run(sys.executable, '-c', code, *arguments, **options)


def until(condition, what='', seconds=180) -> None:
  """Waits for a condition; fails with the text or the result of `what` after `seconds`."""
  end = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < end, f'waited {seconds} s: {what() if callable(what) else what}'
    time.sleep(0.005)


def alive(*pids: int | str) -> bool:
  """Whether any of the processes runs; zombies do not."""
  for pid in pids:
    try:
      stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
      continue
    if stat.rpartition(')')[2].split()[0] != 'Z':
      return True
  return False
