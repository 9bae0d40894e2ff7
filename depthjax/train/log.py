"""What a run writes down: WORKDIR/metrics.jsonl, TensorBoard events, and a bar on the terminal."""

import contextlib
import json
import math
import pathlib
from typing import Any

from rich import progress

from depthjax.files import atomic
from depthjax.train.events import Events


class Log:
  """Metrics of one run by one process: one JSON object a line, and the same for TensorBoard.

  Lines past `start` that an earlier, killed run left are dropped: the file is the run's record as
  if it had never stopped.
  """

  def __init__(self, workdir: pathlib.Path, *, start: int, total: int):
    self._path = workdir / 'metrics.jsonl'
    self._start, self._had = start, _drop_after(self._path, start)
    self._file = open(self._path, 'a', encoding='utf-8')
    self._events = Events(workdir / 'events', start=start)
    self._bar = progress.Progress(
      progress.TextColumn('{task.description}'),
      progress.BarColumn(),
      progress.MofNCompleteColumn(),
      progress.TextColumn('{task.fields[rate]}'),
      progress.TimeRemainingColumn(),
    )
    self._task = self._bar.add_task('training', total=total, completed=start, rate='')
    self._bar.start()

  def has(self, kind: str) -> bool:
    """Whether the step that the run goes on from is on record, as a line of that kind."""
    return kind in self._had

  def write(self, step: int, scalars: dict[str, float], *, kind: str = 'train') -> None:
    """One line: `step`, `kind` and the scalars; one that was there at the start stays."""
    if step == self._start and self.has(kind):
      return
    # JSON has no NaN: a number that is none is null.
    values = {k: v if math.isfinite(v) else None for k, v in scalars.items()}
    self._file.write(json.dumps({'step': step, 'kind': kind, **values}, allow_nan=False) + '\n')
    self._file.flush()
    self._events.scalars(step, {f'{kind}/{name}': value for name, value in scalars.items()})

  def pictures(self, step: int, images: dict[str, Any]) -> None:
    """Pictures [h w 3] in [0, 1] for TensorBoard."""
    self._events.images(step, images)

  def advance(self, step: int, *, loss: float | None = None, rate: float | None = None) -> None:
    """Moves the bar; prints the numbers where there is no terminal to draw it on."""
    self._bar.update(self._task, completed=step)
    if loss is None or rate is None:
      return
    self._bar.update(self._task, rate=f'loss {loss:.4f}  {rate:.1f} examples/s')
    if not self._bar.console.is_terminal:
      self._bar.console.print(f'step {step}  loss {loss:.4f}  {rate:.1f} examples/s')

  def say(self, text: str) -> None:
    """A line above the bar."""
    self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

  def close(self) -> None:
    """Flushes the files and ends the bar."""
    self._bar.stop()
    with contextlib.closing(self._file):
      self._events.close()


class Silent:
  """The log of the processes that write nothing."""

  def has(self, kind: str) -> bool:
    """True: no line is missing here."""
    return True

  def write(self, *args: Any, **kwargs: Any) -> None:
    """Nothing."""

  pictures = advance = say = close = write


def read_metrics(workdir: str | pathlib.Path, kind: str = 'train') -> list[dict[str, Any]]:
  """The lines of a run's metrics.jsonl of one kind ('train' or 'eval'), in order."""
  with open(pathlib.Path(workdir) / 'metrics.jsonl', encoding='utf-8') as file:
    lines = [json.loads(line) for line in file]
  return [line for line in lines if line['kind'] == kind]


def _drop_after(path: pathlib.Path, step: int) -> set[str]:
  """Drops the lines past `step`; the kinds of those that there are of it."""
  kept, kinds = [], set()
  lines = path.read_text(encoding='utf-8', errors='replace').splitlines() if path.exists() else []
  for text in lines:
    try:
      line = json.loads(text)
      keep, kind = line['step'] <= step, line['kind']
    except (ValueError, KeyError, TypeError):  # What a killed run was writing, or a broken disk.
      continue
    if keep:
      kept.append(text + '\n')
    if line['step'] == step:
      kinds.add(kind)
  atomic.write_bytes(path, ''.join(kept).encode(), ('.jsonl',))
  return kinds
