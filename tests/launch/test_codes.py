"""Exit codes of the command, by which launchers decide whether to restart it."""

import socket
import subprocess
import sys

from tests import tiny

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
_WAITS = """
import sys, time
from depthjax import processes
processes.start(sys.argv[1])
time.sleep(100)
"""
_CRASHES = """
import sys
from depthjax import cli
from depthjax.train import loop

def train(*_, **__):
  raise OSError('x')

loop.train = train
cli.main()
"""


def test_each_exception_has_its_exit_code(tmp_path):
  result = subprocess.run(
    [sys.executable, '-c', _FORKS, 'train', *tiny.arguments(tmp_path)],
    cwd=tiny.ROOT,
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert result.stdout.split() == ['1', '2', '143', '70', '70'], result.stderr
  assert result.stderr.count('Traceback') == 2 and 'OSError: x' in result.stderr


def test_a_crashed_process_does_not_wait_for_the_others(tmp_path):
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    address = f'localhost:{probe.getsockname()[1]},2'
  other = subprocess.Popen([sys.executable, '-c', _WAITS, f'{address},1'], cwd=tiny.ROOT)
  try:
    flags = ['train', *tiny.arguments(tmp_path), f'--cluster={address},0']
    result = subprocess.run(
      [sys.executable, '-c', _CRASHES, *flags],
      cwd=tiny.ROOT,
      capture_output=True,
      text=True,
      timeout=80,
    )
    assert result.returncode == 70 and 'OSError: x' in result.stderr, result.stderr
  finally:
    other.kill()
    other.wait()
