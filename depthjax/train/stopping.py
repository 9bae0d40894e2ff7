"""SIGTERM and SIGINT: the processes of a run agree on the point at which all of them stop."""

import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.experimental import multihost_utils


@contextlib.contextmanager
def on_signals() -> Iterator[Callable[[], bool]]:
  """Yields a function that says whether the run stops here, after SIGTERM or SIGINT.

  All processes call it at the same points in the same order: before each step and each batch of an
  evaluation. Several processes query JAX's preemption service, without communication: it catches
  SIGTERM on any process, informs the others within a second and returns the first point that none
  of them has passed.

  A second SIGINT ends the process at once, by a thread that reads signals from a pipe. A signal
  handler of Python would run only after the compilation or step in progress.
  """
  alone, points = not jax.distributed.is_initialized(), itertools.count(1)
  requested = threading.Event()

  def stop(*_: Any) -> None:
    requested.set()
    if not alone:
      signal.raise_signal(signal.SIGTERM)  # To JAX's preemption service.

  def stops() -> bool:
    if alone:
      return requested.is_set()
    return multihost_utils.reached_preemption_sync_point(next(points))

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
      ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # As by `nohup` and '&'.
      for number in [signal.SIGINT] * (not ignored) + [signal.SIGTERM] * alone:
        stack.callback(signal.signal, number, signal.signal(number, stop))
    yield stops


def _end_at_second_interrupt(signals: int) -> None:
  """Reads numbers of signals from a pipe until it is closed."""
  interrupts = 0
  while number := os.read(signals, 1):
    interrupts += number[0] == signal.SIGINT
    if interrupts == 2:
      if os.isatty(1):
        os.write(1, b'\x1b[?25h\n')  # Shows the cursor, which the progress bar hides.
      os._exit(128 + signal.SIGINT)  # As shells report it.
