"""Worker processes of the input pipeline end when their parent is killed."""

import os
import pathlib
import signal
import subprocess
import sys
import time

from tests import tiny

_READS = """
import multiprocessing, time
from absl import flags
from depthjax.data import pipeline

if __name__ == '__main__':
  flags.FLAGS.mark_as_parsed()
  ds = pipeline.batched(pipeline.examples(range(100), seed=0), batch_size=2)
  stream = pipeline.stream(ds, workers=1)
  next(stream)
  print(*(child.pid for child in multiprocessing.active_children()), flush=True)
  time.sleep(100)
"""


def test_workers_of_a_killed_process_exit(tmp_path):
  script = tmp_path / 'reads.py'
  script.write_text(_READS)
  environment = {**os.environ, 'PYTHONPATH': str(tiny.ROOT)}
  with subprocess.Popen(
    [sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True
  ) as reader:
    workers = reader.stdout.readline().split()
    assert workers and all(map(_runs, workers))
    reader.send_signal(signal.SIGKILL)
  end = time.monotonic() + 30
  while any(map(_runs, workers)) and time.monotonic() < end:
    time.sleep(0.1)
  left = [worker for worker in workers if _runs(worker)]
  for worker in left:
    os.kill(int(worker), signal.SIGKILL)
  assert not left


def _runs(pid: str) -> bool:
  try:
    return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
  except FileNotFoundError:
    return False
