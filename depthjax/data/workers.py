"""Worker processes that do not outlive who reads from them."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
  """In a worker process: ends it when its parent is gone, however that was killed."""

  def wait():
    multiprocessing.parent_process().join()
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()
