"""Throughput of a training run, without the time of evaluations."""

import collections
import contextlib
import time
from collections.abc import Iterator


class Clock:
  """Measures throughput from step `start`, then from one call of `rates` to the next."""

  def __init__(self, batch_size: int, start: int):
    self._batch_size = batch_size
    self._reset(start)

  def _reset(self, step: int) -> None:
    self._begin, self._step = time.perf_counter(), step
    self._seconds: collections.Counter[str] = collections.Counter()

  @contextlib.contextmanager
  def timed(self, what: str) -> Iterator[None]:
    """Counts the time of the block as 'input' (waiting for a batch) or 'pause' (not training)."""
    begin = time.perf_counter()
    yield
    self._seconds[what] += time.perf_counter() - begin

  def rates(self, step: int) -> dict[str, float]:
    """Examples and steps per second up to a step, and the fraction of time waiting for input."""
    steps = step - self._step
    seconds = max(time.perf_counter() - self._begin - self._seconds['pause'], 1e-9)
    rates = {
      'examples_per_second': steps * self._batch_size / seconds,
      'steps_per_second': steps / seconds,
      'input_share': self._seconds['input'] / seconds,
    }
    self._reset(step)
    return rates
