"""Worker processes that end when their parent process does, and not before."""

import multiprocessing
import os
import signal
import threading


def end_with_parent(*_: int) -> None:
  """Ends this worker process when its parent has ended, even if the parent was killed.

  Ctrl-C, which the terminal sends to all processes, does not end it: the parent may go on.

  Grain calls it with the number of the worker and their count; both are unused.
  """

  def wait():
    multiprocessing.parent_process().join()
    os._exit(1)

  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=wait, daemon=True).start()
