"""Signals: an ignored SIGINT stays ignored; the second one ends a process at once, even in XLA."""

import signal
import subprocess
import sys
import time

from depthjax.train import stopping
from tests import processes

# Blocks in one call, as a compilation does: handlers of Python do not run.
_BLOCKS = """
import jax
from depthjax.train import stopping
with stopping.on_signals():
  print('ready', flush=True)
  loop = jax.jit(lambda x: jax.lax.fori_loop(0, 2**31 - 1, lambda i, x: x * x, x))
  loop(1.0).block_until_ready()
"""


def test_a_second_interrupt_ends_a_blocked_process():
  command = [sys.executable, '-c', _BLOCKS]
  pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
  with subprocess.Popen(command, env=processes.ENVIRONMENT, **pipes) as process:
    try:
      assert process.stdout.readline() == 'ready\n'
      process.send_signal(signal.SIGINT)
      time.sleep(0.5)
      assert process.poll() is None
      process.send_signal(signal.SIGINT)
      assert process.wait(5) == 130 and process.stderr.read() == ''
    finally:
      process.kill()


def test_a_run_that_ignores_interrupts_goes_on():
  """As one that a script has started with '&'."""
  before = signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    with stopping.on_signals() as stops:
      signal.raise_signal(signal.SIGINT)
      assert not stops()
  finally:
    signal.signal(signal.SIGINT, before)
