"""The exit codes that launchers decide by: what ended a run, whether to start it again."""

import subprocess
import sys

from tests import tiny

# Each end in a fork of a process that has imported everything and started nothing.
_FORKS = """
import os, sys
from depthjax import cli
from depthjax.configuring import ConfigError
from depthjax.train import loop

ends = loop.NotFinite, ConfigError, loop.Terminated, OSError, RuntimeError
for end in ends:
  def train(*_):
    raise end('x')
  child = os.fork()
  if not child:
    loop.train = train
    sys.argv = ['depthjax', *sys.argv[1:]]
    cli.main()
  print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_crash_is_told_from_a_run_that_diverged(tmp_path):
  result = subprocess.run(
    [sys.executable, '-c', _FORKS, 'train', *tiny.arguments(tmp_path)],
    cwd=tiny.ROOT,
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert result.stdout.split() == ['1', '2', '143', '70', '70'], result.stderr
  assert result.stderr.count('Traceback') == 2 and 'OSError: x' in result.stderr
