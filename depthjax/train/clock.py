"""Throughput of a training run, without the time of evaluations."""

import collections
import contextlib
import time
from collections.abc import Iterator


class Clock:
  """Measures throughput from one call of `rates` to the next."""

  def __init__(self, batch_size: int):
    self._batch_size = batch_size
    self._reset()

  def _reset(self) -> None:
    self._begin, self._steps = time.perf_counter(), 0
    self._seconds: collections.Counter[str] = collections.Counter()

  @contextlib.contextmanager
  def timed(self, what: str) -> Iterator[None]:
    """Counts the time of the block as 'input' (waiting for a batch) or 'pause' (not training)."""
    begin = time.perf_counter()
    yield
    self._seconds[what] += time.perf_counter() - begin

  def stepped(self) -> None:
    """Counts a step."""
    self._steps += 1

  def rates(self) -> dict[str, float]:
    """Examples and steps per second, and the fraction of time spent waiting for input."""
    seconds = max(time.perf_counter() - self._begin - self._seconds['pause'], 1e-9)
    rates = {
      'examples_per_second': self._steps * self._batch_size / seconds,
      'steps_per_second': self._steps / seconds,
      'input_share': self._seconds['input'] / seconds,
    }
    self._reset()
    return rates
