"""Rates of a run between two lines of its log, without the time that evaluations take."""

import contextlib
import time
from typing import Any

import jax


class Clock:
  """Counts steps; what it counts between two lines of the log excludes evaluations."""

  def __init__(self, batch_size: int):
    self._batch_size = batch_size
    self._reset()

  def _reset(self) -> None:
    self._begin, self._waited, self._paused, self._steps = time.perf_counter(), 0.0, 0.0, 0

  @contextlib.contextmanager
  def waiting(self):
    begin = time.perf_counter()
    yield
    self._waited += time.perf_counter() - begin

  @contextlib.contextmanager
  def paused(self):
    begin = time.perf_counter()
    yield
    self._paused += time.perf_counter() - begin

  def stepped(self, scalars: Any) -> None:
    """Counts a step once it is done: no more than two are ever in flight."""
    jax.block_until_ready(scalars)
    self._steps += 1

  def rates(self) -> dict[str, float]:
    """Examples and steps a second and the share of time spent waiting for input; starts anew."""
    seconds = max(time.perf_counter() - self._begin - self._paused, 1e-9)
    rates = {
      'examples_per_second': self._steps * self._batch_size / seconds,
      'steps_per_second': self._steps / seconds,
      'input_share': self._waited / seconds,
    }
    self._reset()
    return rates
