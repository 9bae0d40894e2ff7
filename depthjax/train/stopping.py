"""SIGTERM: the processes of a run agree on the point at which all of them stop."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils


class Stopped(Exception):
  """An evaluation was interrupted because the run stops."""


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

  def check(self) -> None:
    """Raises Stopped if `now` is true."""
    if self.now():
      raise Stopped


@contextlib.contextmanager
def on_sigterm() -> Iterator[Stops]:
  """The stopping points of a run; handles SIGTERM of a single process inside the block."""
  requested = threading.Event()
  main = threading.current_thread() is threading.main_thread()
  with contextlib.ExitStack() as stack:
    if main and not jax.distributed.is_initialized():
      previous = signal.signal(signal.SIGTERM, lambda *_: requested.set())
      stack.callback(signal.signal, signal.SIGTERM, previous)
    yield Stops(requested)
