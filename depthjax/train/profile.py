"""A profile of some training steps in WORKDIR/profile, for TensorBoard, XProf or Perfetto."""

import contextlib
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import jax

from depthjax.configuring import ConfigError


class Profile:
  """Traces a range of steps, numbered from 0; none if it is empty.

  The trace is in `folder`, with one subfolder 0/, 1/, ... for each of several processes.
  TensorBoard's `profile` plugin and XProf read it; perfetto_trace.json.gz is for ui.perfetto.dev.
  """

  def __init__(self, folder: pathlib.Path, steps: range):
    # JAX builds the Perfetto file from everything in a folder.
    self._folder = folder / str(jax.process_index()) if jax.process_count() > 1 else folder
    self._steps, self._tracing = steps, False

  @contextlib.contextmanager
  def step(self, number: int) -> Iterator[list[Any]]:
    """Encloses one step; its results go into the list, so that the trace ends after them."""
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
    """Writes the trace if one is in progress."""
    if self._tracing:
      self._tracing = False
      jax.profiler.stop_trace()


def parse(text: str) -> range:
  """The steps of 'START:STOP', as in a Python slice; none for ''.

  Raises ConfigError for another text, or if not 0 <= START < STOP.
  """
  found = re.fullmatch(r'(\d+):(\d+)', text)
  steps = range(*map(int, found.groups())) if found else range(0)
  if text and not steps:
    raise ConfigError(f'--profile is {text!r}; it must be START:STOP, 0 <= START < STOP')
  return steps
