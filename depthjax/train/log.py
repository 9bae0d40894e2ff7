"""The log of a run: WORKDIR/metrics.jsonl, TensorBoard events, W&B and a progress bar."""

import contextlib
import json
import math
import pathlib
from typing import Any

from rich import progress

from depthjax.files import atomic
from depthjax.train.events import Events
from depthjax.train.wandb_log import Wandb


class Log:
  """Writes metrics as JSON lines and TensorBoard events, and to W&B if `wandb`; for process 0.

  Lines after step `start`, which a killed run has left, are removed, so that the file equals that
  of an uninterrupted run. `wandb` is the config of the run, or None.
  """

  def __init__(
    self, workdir: pathlib.Path, *, start: int, total: int, wandb: dict[str, Any] | None = None
  ):
    # First: W&B may refuse the run.
    self._writers: list[Events | Wandb] = [] if wandb is None else [Wandb(workdir, wandb)]
    self._path = workdir / 'metrics.jsonl'
    self._start, self._kinds = start, _truncate(self._path, start)
    self._file = open(self._path, 'a', encoding='utf-8')
    self._writers.append(Events(workdir / 'events', start=start))
    columns = (*progress.Progress.get_default_columns(), progress.MofNCompleteColumn())
    self._bar = progress.Progress(*columns, '{task.fields[rate]}')
    self._task = self._bar.add_task('training', total=total, completed=start, rate='')
    self._bar.start()

  def has(self, kind: str) -> bool:
    """Whether the file had a line of this kind for step `start`."""
    return kind in self._kinds

  def write(self, step: int, scalars: dict[str, float], *, kind: str = 'train') -> None:
    """Writes a line of `step`, `kind` and the scalars, unless the file already `has` it."""
    if step == self._start and self.has(kind):
      return
    # JSON has neither NaN nor infinity.
    values = {k: v if math.isfinite(v) else None for k, v in scalars.items()}
    self._file.write(json.dumps({'step': step, 'kind': kind, **values}, allow_nan=False) + '\n')
    self._file.flush()
    named = {f'{kind}/{name}': value for name, value in scalars.items()}
    for writer in self._writers:
      writer.scalars(step, named)

  def pictures(self, step: int, images: dict[str, Any]) -> None:
    """Writes pictures [h w 3] in [0, 1] as TensorBoard events, and to W&B."""
    for writer in self._writers:
      writer.images(step, images)

  def advance(self, step: int, *, loss: float | None = None, rate: float | None = None) -> None:
    """Updates the progress bar; prints the numbers if the output is not a terminal."""
    self._bar.update(self._task, completed=step)
    if loss is None or rate is None:
      return
    self._bar.update(self._task, rate=f'loss {loss:.4f}  {rate:.1f} examples/s')
    if not self._bar.console.is_terminal:
      self._bar.console.print(f'step {step}  loss {loss:.4f}  {rate:.1f} examples/s')

  def say(self, text: str) -> None:
    """Prints a line above the bar."""
    self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

  def close(self) -> None:
    """Closes the files and stops the bar."""
    self._bar.stop()
    with contextlib.closing(self._file):
      for writer in self._writers:
        writer.close()


class Silent:
  """The log of the other processes: writes nothing."""

  def has(self, *args: Any, **kwargs: Any) -> bool:
    """True, so that only process 0 can find a line missing."""
    return True

  write = pictures = advance = say = close = has


def read_metrics(workdir: str | pathlib.Path, kind: str = 'train') -> list[dict[str, Any]]:
  """The lines of WORKDIR/metrics.jsonl of one kind ('train' or 'eval'), in order."""
  with open(pathlib.Path(workdir) / 'metrics.jsonl', encoding='utf-8') as file:
    lines = [json.loads(line) for line in file]
  return [line for line in lines if line['kind'] == kind]


def _truncate(path: pathlib.Path, step: int) -> set[str]:
  """Removes damaged lines and those after `step`; returns the kinds of the lines of `step`."""
  kept, kinds = [], set()
  lines = path.read_text(encoding='utf-8', errors='replace').splitlines() if path.exists() else []
  for text in lines:
    # A line that a killed run has not completed is no JSON.
    with contextlib.suppress(ValueError, KeyError, TypeError):
      line = json.loads(text)
      kind = line['kind']
      if line['step'] <= step:
        kept.append(text + '\n')
      if line['step'] == step:
        kinds.add(kind)
  atomic.write_bytes(path, ''.join(kept).encode(), ('.jsonl',))
  return kinds
