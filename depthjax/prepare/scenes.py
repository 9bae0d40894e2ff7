"""Drawing scenes once for many runs: shards for data.sources.shards, written by processes.

A shard is written under a temporary name and renamed when it is whole, and the manifest comes
first, so that a second start goes on with what is missing and several machines can share a folder.
"""

import contextlib
import errno
import json
import multiprocessing
import os
import pathlib
import secrets
import signal
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, NamedTuple

from array_record.python import array_record_module

from depthjax.data import splits
from depthjax.data.records import scene
from depthjax.data.sources import mixtures, shards
from depthjax.data.workers import end_with_parent
from depthjax.files import atomic
from depthjax.files.errors import InputError

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)
_POLL = 0.2  # Seconds between two looks at how far the processes are.


class Plan(NamedTuple):
  """What one machine has to do.

  Attributes:
    target: the folder.
    manifest: what is in it when all machines are done.
    todo: numbers of this machine's shards that are not there yet.
    own: how many shards are this machine's.
  """

  target: pathlib.Path
  manifest: shards.Manifest
  todo: list[int]
  own: int

  @property
  def scenes(self) -> int:
    """How many scenes there are to draw."""
    return sum(len(self.manifest.span(shard)) for shard in self.todo)


class Written(NamedTuple):
  """Scenes and bytes that were written."""

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
  """Compares a folder with what is asked for; writes the manifest where there is none.

  Args:
    fields: a config's `data`.
    seed: of the run whose scenes are drawn.
    count, count_shards: scenes and files, over all machines.
    part: (number of this machine, number of machines); it takes every so many-th shard.

  Raises:
    InputError: the folder cannot be written, or holds something else.
    ValueError: a field out of range, or a source that cannot be read.
  """
  if not 1 <= count_shards <= count:
    raise ValueError(f'{count_shards} shards of {count} scenes; 1 to {count} shards are right')
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

  Args:
    fields: as in `plan`.
    workers: processes; 0 draws in this one.
    advance: called now and then with the number of scenes drawn so far.

  Raises:
    InputError: the folder cannot be written, or too many photographs cannot be decoded.
  """
  _clear(planned)
  job = planned.target, planned.manifest, fields
  try:
    if workers:
      size = _in_processes(planned, job, workers, advance)
    else:
      work = _Work(*job)
      size = sum(work.write(shard, advance) for shard in planned.todo)
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
        # Else the pool would wait for the shards at work.
        for child in multiprocessing.active_children():
          child.terminate()
        raise
  except futures.process.BrokenProcessPool as error:
    right = 'more memory or fewer --workers; the same command goes on'
    raise InputError(planned.target, 'lost a process that draws', right) from error
  return sum(task.result() for task in tasks)


def _clear(planned: Plan) -> None:
  """Removes what killed processes have left of the shards to write."""
  for shard in planned.todo:
    for rest in planned.target.glob(f'.{planned.manifest.names()[shard]}.*'):
      rest.unlink(missing_ok=True)


def _agree(target: pathlib.Path, manifest: shards.Manifest) -> None:
  """Writes the manifest into a new folder; refuses one of other scenes.

  Several machines may come here at a time: they write the same.
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
    raise InputError(target, f'cannot be made ({error.strerror})', 'another folder') from error
  atomic.write_bytes(path, manifest.to_json().encode(), ('.json',))


def _compare(target: pathlib.Path, there: shards.Manifest, asked: shards.Manifest) -> None:
  pairs = {name: (getattr(there, name), getattr(asked, name)) for name in ('seed', 'count')}
  pairs |= {'shards': (there.shards, asked.shards), 'format': (there.format, asked.format)}
  old, new = there.data, json.loads(json.dumps(asked.data))  # JSON has no tuples.
  pairs |= {f'data.{name}': (old.get(name), new.get(name)) for name in {**old, **new}}
  pairs |= {f'files of {name}': (there.items.get(name), n) for name, n in asked.items.items()}
  for name, (has, wants) in pairs.items():
    if has != wants:
      wrong = f'was prepared with {name} {has!r}, not {wants!r}'
      raise InputError(target, wrong, 'the same settings, or another folder')
  if there.first != asked.first:
    wrong = 'was drawn by another version of depthjax, NumPy or OpenCV, or from other photographs'
    raise InputError(target, wrong, 'the same ones, or another folder')


class _Work:
  """Draws shards, with sources that are opened once."""

  def __init__(self, target: pathlib.Path, manifest: shards.Manifest, fields: dict[str, Any]):
    self.target, self.manifest, self.drawn = target, manifest, 0
    self.scenes, _ = splits.drawn(fields, manifest.seed)

  def write(self, shard: int, advance: Callable[[int], Any]) -> int:
    """Writes a shard and tells the number of scenes drawn so far; returns its bytes."""
    path = self.target / self.manifest.names()[shard]
    with _replacing(path) as temporary:
      writer = array_record_module.ArrayRecordWriter(str(temporary), shards.WRITER_OPTIONS)
      for number in self.manifest.span(shard):
        writer.write(shards.encode(self.scenes[number], self.manifest.layout))
        self.drawn += 1
        advance(self.drawn)
      writer.close()
      return temporary.stat().st_size


_state: list[Any] = []  # Of a process that draws: its work, and the count of all processes.


def _start(job: tuple, done: Any) -> None:
  """Begins a process that draws; it ends when its parent is gone."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent ends its processes.
  end_with_parent()
  _state[:] = _Work(*job), done


def _write_shard(shard: int) -> int:
  work, done = _state

  def advance(_: int) -> None:
    with done.get_lock():
      done.value += 1

  return work.write(shard, advance)


@contextlib.contextmanager
def _replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """A temporary name that becomes `path` if the block ends well."""
  temporary = path.with_name(f'.{path.name}.{secrets.token_hex(8)}')
  try:
    yield temporary
    os.replace(temporary, path)
  except (OSError, RuntimeError) as error:
    # array_record tells what the system said of its files in a RuntimeError.
    reasons = (os.strerror(number) for number in _NOT_WRITABLE)
    reason = next((reason for reason in reasons if reason in str(error)), None)
    if reason is None:
      raise
    right = 'a writable folder with free space'
    raise InputError(path, f'cannot be written ({reason})', right) from error
  finally:
    temporary.unlink(missing_ok=True)
