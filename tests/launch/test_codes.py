"""Exit codes of the command, by which launchers decide whether to restart it."""

import subprocess
import sys

from tests import processes, tiny
from tests.launch import cluster

# Each exception in a fork of a process that has imported the command.
_FORKS = """
import os, sys
from depthjax import cli
from depthjax.configuring import ConfigError
from depthjax.train import loop

ends = loop.NotFinite, ConfigError, loop.Terminated, OSError, RuntimeError
for end in ends:
  def train(*_, **__):
    raise end('x')
  child = os.fork()
  if not child:
    loop.train = train
    sys.argv = ['depthjax', *sys.argv[1:]]
    cli.main()
  print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

# The second of two processes waits; the first one crashes.
_WAITS = (
  'import sys, time; from depthjax import processes as p; p.start(sys.argv[1]); time.sleep(99)'
)
_CRASHES = """
from depthjax import cli
from depthjax.train import loop

loop.train = None
cli.main()
"""


def test_each_exception_has_its_exit_code(tmp_path):
  result = processes.python(_FORKS, 'train', *tiny.arguments(tmp_path))
  assert result.stdout.split() == ['1', '2', '143', '70', '70'], result.stderr
  assert result.stderr.count('Traceback') == 2 and 'OSError: x' in result.stderr


def test_a_crashed_process_does_not_wait_for_the_others(tmp_path):
  address = f'localhost:{cluster.free_port()},2'
  command = [sys.executable, '-c', _WAITS, f'{address},1']
  with subprocess.Popen(command, env=processes.ENVIRONMENT) as other:
    flags = ['train', *tiny.arguments(tmp_path), f'--cluster={address},0']
    try:
      result = processes.python(_CRASHES, *flags, timeout=80)
    finally:
      other.kill()
  assert result.returncode == 70 and 'TypeError: ' in result.stderr, result.stderr
