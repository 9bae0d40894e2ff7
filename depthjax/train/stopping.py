"""SIGTERM and SIGINT: the processes of a run agree on the point at which all of them stop."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import jax
from jax.experimental import multihost_utils


class Stops:
  """The points at which a run can stop: before each step and each batch of an evaluation.

  With several processes it queries JAX's preemption service, which `jax.distributed.initialize`
  starts: the service catches SIGTERM on any process, informs the others within a second and returns
  the first point that none of them has passed. A query needs no communication.
  """

  def __init__(self, requested: threading.Event):
    self._requested, self._point = requested, 0

  def now(self) -> bool:
    """Whether the run stops here; all processes call this at the same points in the same order."""
    self._point += 1
    if jax.distributed.is_initialized():
      return multihost_utils.reached_preemption_sync_point(self._point)
    return self._requested.is_set()


@contextlib.contextmanager
def on_signals() -> Iterator[Stops]:
  """The stopping points of a run: SIGTERM or SIGINT stops it there.

  A second SIGINT ends the process at once, also during a compilation, after which a signal handler
  of Python would run: Python writes signals to a pipe when they come, and a thread reads them.
  """
  requested, alone = threading.Event(), not jax.distributed.is_initialized()

  def stop(*_: Any) -> None:
    requested.set()
    if not alone:
      signal.raise_signal(signal.SIGTERM)  # To JAX's preemption service.

  with contextlib.ExitStack() as stack:
    if threading.current_thread() is threading.main_thread():
      read, write = os.pipe()
      os.set_blocking(write, False)
      stack.callback(os.close, read)
      watcher = threading.Thread(target=_end_at_second_interrupt, args=(read,), daemon=True)
      watcher.start()
      stack.callback(watcher.join)
      stack.callback(os.close, write)
      stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(write))
      for number in (signal.SIGINT, signal.SIGTERM) if alone else (signal.SIGINT,):
        stack.callback(signal.signal, number, signal.signal(number, stop))
    yield Stops(requested)


def _end_at_second_interrupt(signals: int) -> None:
  """Reads numbers of signals from a pipe until it is closed."""
  interrupts = 0
  while number := os.read(signals, 1):
    interrupts += number[0] == signal.SIGINT
    if interrupts == 2:
      if os.isatty(1):
        os.write(1, b'\x1b[?25h\n')  # Shows the cursor, which the progress bar hides.
      os._exit(128 + signal.SIGINT)  # As shells report it.
