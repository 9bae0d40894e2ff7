"""Draws scenes once for many runs: array_record shards for data.sources.shards.

The manifest is written first, and each shard under a temporary name until it is complete. So a
second run writes only what is missing, and several machines can write into one folder.
"""

import contextlib
import json
import multiprocessing
import os
import pathlib
import secrets
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, NamedTuple

from array_record.python import array_record_module

from depthjax.data import splits
from depthjax.data.records import scene
from depthjax.data.sources import mixtures, shards
from depthjax.data.workers import end_with_parent
from depthjax.files import atomic
from depthjax.files.disk import write_errors
from depthjax.files.errors import InputError

_POLL = 0.2  # Seconds between two updates of the progress.


class Plan(NamedTuple):
  """The shards that one machine writes."""

  target: pathlib.Path  # The folder.
  manifest: shards.Manifest  # Describes the complete folder, of all machines.
  todo: list[int]  # Numbers of this machine's shards that do not exist yet.
  own: int  # Number of this machine's shards.

  @property
  def scenes(self) -> int:
    """Number of scenes to draw."""
    return sum(len(self.manifest.span(shard)) for shard in self.todo)


class Written(NamedTuple):
  """Number of scenes and bytes written."""

  scenes: int
  size: int


def plan(
  fields: dict[str, Any],
  target: pathlib.Path,
  *,
  seed: int,
  count: int,
  count_shards: int,
  part: tuple[int, int] = (0, 1),
) -> Plan:
  """Compares a folder with the requested scenes; writes the manifest if there is none.

  Args:
    fields: a config's `data`.
    seed: of the run that will read the scenes.
    count, count_shards: scenes and files, over all machines.
    part: (i, n): this machine is number i of n, and writes shards i, i + n, i + 2 n, ...

  Raises:
    InputError: the folder cannot be written, or holds other files or scenes.
    ValueError: a field out of range, or a source that cannot be read.
  """
  if not 1 <= count_shards <= count:
    raise ValueError(f'{count_shards} shards for {count} scenes; it must be 1 to {count} shards')
  if [part.where for part in mixtures.parse(fields['scene_source'])] not in ([], [scene.DRAWN]):
    raise ValueError(f"scene_source is {fields['scene_source']!r}; '' draws the scenes")
  target = pathlib.Path(target).expanduser()
  ds, items = splits.drawn(fields, seed)
  form = shards.layout(scene.config(fields))
  first = shards.digest(shards.encode(ds[0], form))
  data = {name: value for name, value in fields.items() if name not in ('kind', 'scene_source')}
  manifest = shards.Manifest(data, seed, count, count_shards, items, first, form)
  _agree(target, manifest)
  own = range(part[0], count_shards, part[1])
  names = manifest.names()
  todo = [shard for shard in own if not (target / names[shard]).is_file()]
  return Plan(target, manifest, todo, len(own))


def write(
  planned: Plan,
  fields: dict[str, Any],
  *,
  workers: int,
  advance: Callable[[int], Any] = lambda done: None,
) -> Written:
  """Draws and writes the shards of a plan.

  `fields` are those of `plan`. `workers` is the number of processes, 0 to draw in this process.
  `advance` is called regularly with the number of scenes drawn so far.

  Raises InputError: the folder cannot be written, or too many photographs cannot be decoded.
  """
  _clear(planned)
  job = planned.target, planned.manifest, fields
  try:
    if workers:
      size = _in_processes(planned, job, workers, advance)
    else:
      writer = _Writer(*job)
      size = sum(writer.write(shard, advance) for shard in planned.todo)
  finally:
    _clear(planned)
  return Written(planned.scenes, size)


def _in_processes(planned: Plan, job: tuple, workers: int, advance: Callable[[int], Any]) -> int:
  context = multiprocessing.get_context('spawn')
  done = context.Value('q', 0)
  workers = max(1, min(workers, len(planned.todo)))
  try:
    with futures.ProcessPoolExecutor(workers, context, _start, (job, done)) as pool:
      tasks = [pool.submit(_write_shard, shard) for shard in planned.todo]
      try:
        waiting = set(tasks)
        while waiting:
          finished, waiting = futures.wait(waiting, _POLL, futures.FIRST_EXCEPTION)
          for task in finished:
            task.result()
          advance(done.get_obj().value)
      except BaseException:
        # Without this, the pool waits until the current shards are complete.
        for child in multiprocessing.active_children():
          child.terminate()
        raise
  except futures.process.BrokenProcessPool as error:
    right = 'more memory or fewer --workers; run the same command again to continue'
    raise InputError(planned.target, 'a worker process was killed', right) from error
  return sum(task.result() for task in tasks)


def _clear(planned: Plan) -> None:
  """Removes temporary files of the shards to write, left by killed processes."""
  for shard in planned.todo:
    for file in planned.target.glob(f'.{planned.manifest.names()[shard]}.*'):
      file.unlink(missing_ok=True)


def _agree(target: pathlib.Path, manifest: shards.Manifest) -> None:
  """Writes the manifest into a new folder; refuses a folder of other scenes.

  Several machines may do this at the same time, since they write the same manifest.
  """
  path = target / shards.MANIFEST
  if path.exists():
    _compare(target, shards.read_manifest(str(target)), manifest)
    return
  if target.exists() and (not target.is_dir() or any(target.glob('scenes-*'))):
    wrong = 'holds shards without their manifest' if target.is_dir() else 'is not a folder'
    raise InputError(target, wrong, 'a new or an empty folder')
  try:
    target.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(target, f'cannot be created ({error.strerror})', 'another folder') from error
  atomic.write_bytes(path, manifest.to_json().encode(), ('.json',))


def _compare(target: pathlib.Path, existing: shards.Manifest, new: shards.Manifest) -> None:
  pairs = {name: (getattr(existing, name), getattr(new, name)) for name in ('seed', 'count')}
  pairs |= {'shards': (existing.shards, new.shards), 'format': (existing.format, new.format)}
  old_data, new_data = existing.data, json.loads(json.dumps(new.data))  # JSON has no tuples.
  names = {**old_data, **new_data}
  pairs |= {f'data.{name}': (old_data.get(name), new_data.get(name)) for name in names}
  pairs |= {f'files of {name}': (existing.items.get(name), n) for name, n in new.items.items()}
  for name, (old_value, new_value) in pairs.items():
    if old_value != new_value:
      wrong = f'was prepared with {name} {old_value!r}, not {new_value!r}'
      raise InputError(target, wrong, 'the same settings, or another folder')
  if existing.first != new.first:
    wrong = 'was drawn by another version of depthjax, NumPy or OpenCV, or from other photographs'
    raise InputError(target, wrong, 'the same versions and photographs, or another folder')


class _Writer:
  """Draws shards from sources that are opened once."""

  def __init__(self, target: pathlib.Path, manifest: shards.Manifest, fields: dict[str, Any]):
    self.target, self.manifest, self.drawn = target, manifest, 0
    self.scenes, _ = splits.drawn(fields, manifest.seed)

  def write(self, shard: int, advance: Callable[[int], Any]) -> int:
    """Writes a shard, calling `advance` for each scene; returns its bytes."""
    path = self.target / self.manifest.names()[shard]
    with _replacing(path) as temporary:
      writer = array_record_module.ArrayRecordWriter(str(temporary), shards.WRITER_OPTIONS)
      for number in self.manifest.span(shard):
        writer.write(shards.encode(self.scenes[number], self.manifest.layout))
        self.drawn += 1
        advance(self.drawn)
      writer.close()
      return temporary.stat().st_size


_state: list[Any] = []  # Of a worker process: its writer, and the counter of all processes.


def _start(job: tuple, done: Any) -> None:
  """Initialises a worker process, which ends when its parent does."""
  end_with_parent()
  _state[:] = _Writer(*job), done


def _write_shard(shard: int) -> int:
  writer, done = _state

  def advance(_: int) -> None:
    with done.get_lock():
      done.value += 1

  return writer.write(shard, advance)


@contextlib.contextmanager
def _replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """A temporary path that is renamed to `path` on success."""
  temporary = path.with_name(f'.{path.name}.{secrets.token_hex(8)}')
  try:
    with write_errors(path):
      yield temporary
      os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)
