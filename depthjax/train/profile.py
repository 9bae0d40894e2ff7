"""A trace of some steps of a run: WORKDIR/profile, for TensorBoard, XProf or Perfetto."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import jax

from depthjax.configuring import ConfigError


class Profile:
  """Traces the steps of `steps`, those that the run makes of them.

  Args:
    folder: where the trace goes, of several processes one each in 0/, 1/, ...; TensorBoard's
      `profile` plugin and XProf read it, and perfetto_trace.json.gz opens at ui.perfetto.dev.
    steps: numbers of steps, from 0; empty traces none.
  """

  def __init__(self, folder: pathlib.Path, steps: range):
    # JAX makes the file for Perfetto of all that lies in a folder, so no two may share one.
    self._folder = folder / str(jax.process_index()) if jax.process_count() > 1 else folder
    self._steps, self._tracing = steps, False

  @contextlib.contextmanager
  def step(self, number: int) -> Iterator[list[Any]]:
    """Around one step; what is put into the list is waited for before the trace ends."""
    if number in self._steps and not self._tracing:
      jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
      self._tracing = True
    results: list[Any] = []
    with jax.profiler.StepTraceAnnotation('train', step_num=number):
      yield results
    if self._tracing and number + 1 not in self._steps:
      jax.block_until_ready(results)
      self.close()

  def close(self) -> None:
    """Writes what was traced, if a trace is under way."""
    if self._tracing:
      self._tracing = False
      jax.profiler.stop_trace()


def parse(text: str) -> range:
  """Steps by what a user writes: 'START:STOP', or '' for none.

  Raises:
    ConfigError: anything else.
  """
  if not text:
    return range(0)
  try:
    start, stop = map(int, text.split(':'))
  except ValueError as error:
    raise ConfigError(f'profile is {text!r}; START:STOP, such as 20:25') from error
  if not 0 <= start < stop:
    raise ConfigError(f'profile is {text!r}; START:STOP with 0 <= START < STOP')
  return range(start, stop)
