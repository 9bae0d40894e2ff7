"""Worker processes that end when their parent process does."""

import multiprocessing
import os
import threading


def end_with_parent(*_: int) -> None:
  """Ends this worker process when its parent has ended, even if the parent was killed.

  Grain calls it with the number of the worker and their count; both are unused.
  """

  def wait():
    multiprocessing.parent_process().join()
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()
