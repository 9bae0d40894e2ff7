"""SIGTERM: one process or all of a run are asked to stop, and all stop at the same moment."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils


class Stopped(Exception):
  """An evaluation was left because the run is to stop."""


class Stops:
  """The moments of a run at which it can stop: before each step and each batch of an evaluation.

  Several processes ask JAX's preemption service, which `jax.distributed.initialize` starts: it
  catches SIGTERM on any of them, within a second tells the others beside the computation, and
  names the first moment that none has passed yet. Asking costs no communication.
  """

  def __init__(self, asked: threading.Event | None = None):
    self._asked = asked or threading.Event()
    self._moment = 0

  def now(self) -> bool:
    """Whether the run stops here; all processes call it at the same moments in the same order."""
    self._moment += 1
    if jax.distributed.is_initialized():
      return multihost_utils.reached_preemption_sync_point(self._moment)
    return self._asked.is_set()

  def check(self) -> None:
    """Raises Stopped if the run stops here; a moment as that of `now`."""
    if self.now():
      raise Stopped


@contextlib.contextmanager
def on_sigterm() -> Iterator[Stops]:
  """The moments of a run in this process; the previous handler comes back at the end."""
  stops = Stops(asked := threading.Event())
  alone = not jax.distributed.is_initialized()
  if not alone or threading.current_thread() is not threading.main_thread():
    yield stops
    return
  previous = signal.signal(signal.SIGTERM, lambda *_: asked.set())
  try:
    yield stops
  finally:
    signal.signal(signal.SIGTERM, previous)
