"""Worker processes of the input pipeline end when their parent is killed."""

import signal
import subprocess
import sys

from tests import processes

_READS = """
import multiprocessing, time
from depthjax.data import pipeline

if __name__ == '__main__':
  ds = pipeline.batched(pipeline.examples(range(100), seed=0), batch_size=2)
  stream = pipeline.stream(ds, workers=1)
  next(stream)
  print(*(child.pid for child in multiprocessing.active_children()), flush=True)
  time.sleep(100)
"""


def test_workers_of_a_killed_process_exit(tmp_path):
  script = tmp_path / 'reads.py'
  script.write_text(_READS)
  with subprocess.Popen(
    [sys.executable, script], env=processes.ENVIRONMENT, stdout=subprocess.PIPE, text=True
  ) as reader:
    workers = reader.stdout.readline().split()
    assert workers and processes.alive(*workers)
    reader.send_signal(signal.SIGKILL)
  processes.until(lambda: not processes.alive(*workers), 'for the workers to end', 30)
