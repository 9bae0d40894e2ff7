"""What a run writes down: WORKDIR/metrics.jsonl, TensorBoard events, and a bar on the terminal."""

import json
import math
import os
import pathlib
from typing import Any

import tensorboardX
from rich import progress


class Log:
  """Metrics of one run by one process: one JSON object a line, and the same for TensorBoard.

  Lines past `start` that an earlier, killed run left are dropped: the file is the run's record as
  if it had never stopped.
  """

  def __init__(self, workdir: pathlib.Path, *, start: int, total: int):
    self._path = workdir / 'metrics.jsonl'
    _drop_after(self._path, start)
    self._file = open(self._path, 'a', encoding='utf-8')
    self._events = tensorboardX.SummaryWriter(str(workdir / 'events'), purge_step=start)
    self._bar = progress.Progress(
      progress.TextColumn('{task.description}'),
      progress.BarColumn(),
      progress.MofNCompleteColumn(),
      progress.TextColumn('{task.fields[rate]}'),
      progress.TimeRemainingColumn(),
    )
    self._task = self._bar.add_task('training', total=total, completed=start, rate='')
    self._bar.start()

  def write(self, step: int, scalars: dict[str, float], *, kind: str = 'train') -> None:
    """One line: `step`, `kind` and the scalars."""
    # JSON has no NaN: a number that is none is null.
    values = {k: v if math.isfinite(v) else None for k, v in scalars.items()}
    self._file.write(json.dumps({'step': step, 'kind': kind, **values}, allow_nan=False) + '\n')
    self._file.flush()
    for name, value in scalars.items():
      self._events.add_scalar(f'{kind}/{name}', value, step)

  def pictures(self, step: int, images: dict[str, Any]) -> None:
    """Pictures [h w 3] in [0, 1] for TensorBoard."""
    for name, image in images.items():
      self._events.add_image(name, image, step, dataformats='HWC')

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
    self._events.close()
    self._file.close()


class Silent:
  """The log of the processes that write nothing."""

  def write(self, *args: Any, **kwargs: Any) -> None:
    """Nothing."""

  pictures = advance = say = close = write


def read_metrics(workdir: str | pathlib.Path, kind: str = 'train') -> list[dict[str, Any]]:
  """The lines of a run's metrics.jsonl of one kind ('train' or 'eval'), in order."""
  with open(pathlib.Path(workdir) / 'metrics.jsonl', encoding='utf-8') as file:
    lines = [json.loads(line) for line in file]
  return [line for line in lines if line['kind'] == kind]


def _drop_after(path: pathlib.Path, step: int) -> None:
  if not path.exists():
    return
  kept = []
  for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
    try:
      keep = json.loads(line)['step'] <= step
    except (ValueError, KeyError, TypeError):  # What a killed run was writing, or a broken disk.
      keep = False
    if keep:
      kept.append(line + '\n')
  temporary = path.with_suffix('.partial')
  temporary.write_text(''.join(kept), encoding='utf-8')
  os.replace(temporary, path)
