"""Worker processes of the input pipeline end when their parent is killed, and only then."""

import signal
import subprocess
import sys

from tests import processes

_READS = """
import multiprocessing, os, signal, time
from depthjax.data import pipeline

if __name__ == '__main__':
  ds = pipeline.batched(pipeline.examples(range(100), seed=0), batch_size=2)
  stream = pipeline.stream(ds, workers=1)
  next(stream)
  for child in multiprocessing.active_children():
    os.kill(child.pid, signal.SIGINT)  # As Ctrl-C in a terminal.
  for _ in range(20):  # More than are prefetched.
    next(stream)
  print(*(child.pid for child in multiprocessing.active_children()), flush=True)
  time.sleep(100)
"""


def test_workers_ignore_interrupts_and_exit_with_their_parent(tmp_path):
  script = tmp_path / 'reads.py'
  script.write_text(_READS)
  with subprocess.Popen(
    [sys.executable, script], env=processes.ENVIRONMENT, stdout=subprocess.PIPE, text=True
  ) as reader:
    workers = reader.stdout.readline().split()
    assert workers and processes.alive(*workers)
    reader.send_signal(signal.SIGKILL)
  processes.until(lambda: not processes.alive(*workers), 'for the workers to end', 30)
