"""`depthjax prepare`: converts datasets, draws scenes, and prints a summary."""

import functools
import os
import pathlib
import time
from typing import Any

import ml_collections
from rich import console, progress

from depthjax.commands import runner
from depthjax.prepare import scenes as scenes_lib
from depthjax.prepare import writing

_SHOWN = 3  # Skipped records that are printed; metadata.json has all.


def dataset(
  name: str, source: pathlib.Path, target: pathlib.Path, long_side: int | None, max_bad: float
) -> None:
  """Prepares a dataset of the catalogue; arguments as in writing.prepare."""
  track = functools.partial(progress.track, description=f'preparing {name}', transient=True)
  done = writing.prepare(name, source, target, long_side=long_side, max_bad=max_bad, track=track)
  for line in done.skipped[:_SHOWN]:
    print(f'skipped: {line}')
  if len(done.skipped) > _SHOWN:
    print(f'skipped: {len(done.skipped) - _SHOWN} more, listed in {done.folder}/metadata.json')
  counts = ', '.join(f'{split} {count}' for split, count in done.counts.items())
  print(f'{done.folder}: {counts}, skipped {len(done.skipped)}')


def scenes(
  config: ml_collections.ConfigDict, target: pathlib.Path, workers: int | None, **options: Any
) -> None:
  """Draws the scenes of a config; `options` are arguments of prepare.scenes.plan."""
  fields = config.data.to_dict()
  with runner.refusals('config: ', (TypeError, ValueError)):  # Invalid fields.
    planned = scenes_lib.plan(fields, target, seed=config.seed, **options)
  if workers is None:
    workers = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
  begin = time.monotonic()
  columns = (*progress.Progress.get_default_columns(), progress.MofNCompleteColumn())
  with progress.Progress(*columns, console=console.Console(stderr=True), transient=True) as bar:
    task = bar.add_task('drawing scenes', total=planned.scenes)
    advance = lambda done: bar.update(task, completed=done)  # noqa: E731
    done = scenes_lib.write(planned, fields, workers=workers, advance=advance)
  rate = done.scenes / max(time.monotonic() - begin, 1e-9)
  existing = planned.own - len(planned.todo)
  note = f', {existing} shards existed already' if existing else ''
  what = f'{done.scenes} scenes in {len(planned.todo)} shards'
  print(f'{target}: {what}, {done.size / 1e6:.1f} MB, {rate:.3g} scenes/s{note}')
