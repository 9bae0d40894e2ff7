"""Checkpoints with Orbax: asynchronous, atomic, and restored on any number of devices."""

import asyncio
import contextlib
import itertools
import logging
import operator
import os
import pathlib
import re
import sys
import threading
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from depthjax import processes, rules
from depthjax.files.errors import InputError
from depthjax.train import means, optimizer

_ITEM = 'default'  # Orbax's name for the only tree of a checkpoint.


class Damaged(Exception):
  """Files of a checkpoint are missing or truncated; the message is one line."""


class _Manager(ocp.CheckpointManager):
  """Orbax's manager without its own query of JAX's preemption service.

  The loop queries that service too (`stopping`); it must see one consistent count of steps.
  """

  def reached_preemption(self, step: int) -> bool:
    return False

  def metrics(self, step: int) -> Any:
    """The record of a checkpoint; None if it is damaged or the checkpoint has none."""
    try:
      return super().metrics(step)
    except (OSError, ValueError):
      return None


class _Kept(NamedTuple):
  """Orbax's policy: the newest `keep`, multiples of `keep_every`, the one with the lowest loss."""

  keep: int
  keep_every: int

  def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
    del context
    losses = means.losses({one.step: one.metrics or {} for one in checkpoints})
    losses.pop(checkpoints[-1].step, None)  # The loss after it is not known yet.
    kept = {one.step for one in checkpoints[-self.keep :]}
    kept |= {min(losses, key=losses.get)} if losses else set()
    return [
      one.step in kept or bool(self.keep_every) and one.step % self.keep_every == 0
      for one in checkpoints
    ]


class _ArrayReader(ocp.type_handlers.ArrayHandler):
  """Orbax's reader of arrays; when one read fails, the others end before the error is raised.

  Orbax itself closes the event loop while they run, and each then prints a traceback.
  """

  async def metadata(self, infos: Sequence[Any]) -> Any:
    return await _with_all_reads(super().metadata(infos))

  async def deserialize(self, infos: Sequence[Any], args: Sequence[Any] | None = None) -> Any:
    return await _with_all_reads(super().deserialize(infos, args))


async def _with_all_reads(reading: Coroutine) -> Any:
  """The result of `reading`; if it fails, waits for the tasks that it started."""
  before = asyncio.all_tasks()
  try:
    return await reading
  except Exception:
    await asyncio.gather(*asyncio.all_tasks() - before, return_exceptions=True)
    raise


class Checkpoints:
  """The checkpoints of one run, in `folder`/STEP.

  A save is written under a temporary name and renamed when complete, so a killed run keeps its last
  good checkpoint; incomplete saves are deleted at the next start. Leaving the context waits for the
  save in progress, unless another process of the run was lost. The newest `keep` checkpoints are
  kept, those whose steps are multiples of `keep_every`, if it is not 0, and the one with the lowest
  loss of `means.losses`. With `read_only`, nothing in `folder` is written, deleted or renamed.
  """

  def __init__(
    self, folder: pathlib.Path, *, keep: int = 3, keep_every: int = 0, read_only: bool = False
  ):
    self._read_only = read_only
    self._failed: BaseException | None = None
    if read_only:
      options = ocp.CheckpointManagerOptions(
        read_only=True, save_interval_steps=0, create=False, max_to_keep=None
      )
    else:
      options = ocp.CheckpointManagerOptions(
        preservation_policy=_Kept(keep, keep_every),
        best_fn=operator.itemgetter('loss'),  # Without it records would not be written.
        should_save_fn=lambda step, latest: True,  # The loop decides.
        cleanup_tmp_directories=True,
        async_options=ocp.AsyncOptions(barrier_sync_fn=self._barrier),
      )
    handler = ocp.StandardCheckpointHandler()
    self._manager = _Manager(folder.absolute(), item_handlers=handler, options=options)

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
    if error is None:
      self.close()
    elif not isinstance(error, jax.errors.JaxRuntimeError):  # Raised when a process was lost.
      with contextlib.suppress(Exception):  # `error` is raised.
        self.close()

  def records(self) -> dict[int, means.Record]:
    """The records of the checkpoints by step, in order; {} for one that has none."""
    return {step: self._manager.metrics(step) or {} for step in sorted(self._manager.all_steps())}

  def save(self, step: int, state: Any, record: means.Record) -> None:
    """Starts to save and returns once the arrays are copied; keeps a step that exists.

    Raises the error of the previous save if that failed.
    """
    self.check()
    if step != self._manager.latest_step():
      self._manager.save(step, args=ocp.args.StandardSave(state), metrics=record)

  def check(self) -> None:
    """Raises the error of a save that failed; does not wait for one in progress.

    Orbax has no hook for writes that outlast a failed one: they may print tracebacks to stderr.
    """
    if self._failed is not None:
      raise self._failed

  def wait(self) -> None:
    """Returns once the save in progress is complete; raises its error if it failed."""
    self._manager.wait_until_finished()
    self.check()

  def restore(self, abstract: Any, step: int) -> Any:
    """The state of `step` with the shardings of `abstract`.

    Waits for no other process, so that one process may fail alone. Missing and truncated files are
    detected; flipped bits in the data of an array are not, since Orbax stores no checksums.

    Raises:
      InputError: the checkpoint has other arrays, or the disk or the system cannot read it now.
      Damaged: files of it are missing or truncated.
    """
    folder = self._path(step)
    me, types = jax.process_index(), ocp.type_handlers
    alone = ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me})
    readers = (jax.Array, _ArrayReader()), (np.ndarray, types.NumpyHandler())
    handler = ocp.PyTreeCheckpointHandler(
      multiprocessing_options=alone,
      type_handler_registry=types.create_type_handler_registry(*readers),
    )
    with contextlib.closing(ocp.Checkpointer(handler, multiprocessing_options=alone)) as reader:
      try:
        # Not reader.metadata: its error does not say why the metadata cannot be read.
        saved, tree = handler.metadata(folder / _ITEM), optimizer.older(abstract)
        if rules.by_path(saved).keys() != rules.by_path(tree).keys():
          tree = abstract
        _check_arrays(saved, tree, folder)
        wanted = ocp.checkpoint_utils.construct_restore_args(tree)
        wanted = ocp.args.PyTreeRestore(tree, restore_args=wanted)
        restored = reader.restore(folder / _ITEM, args=wanted)
        return jax.tree.unflatten(jax.tree.structure(abstract), jax.tree.leaves(restored))
      except (InputError, MemoryError, jax.errors.JaxRuntimeError):
        raise
      except Exception as error:  # Orbax raises many types, plain Exception among them.
        if reason := _system_error(error):
          right = 'a disk that can be read; then run the same command again'
          raise InputError(folder, f'cannot be read now ({reason})', right) from error
        first_line = str(error).partition('\n')[0]
        raise Damaged(f'{type(error).__name__}: {first_line[:200]}') from error

  def restore_newest(self, abstract: Any, only: int | None = None) -> tuple[Any, int] | None:
    """The newest undamaged state and its step; None if there is no checkpoint.

    With `only`, the state of that step.

    Damaged checkpoints are skipped with a warning and, unless `read_only`, renamed to STEP.damaged,
    so that their steps can be saved again. All processes restore the same step: a checkpoint that
    one of them finds damaged is skipped by all.

    Raises InputError on all processes, and renames nothing, if step `only` does not exist, all are
    damaged, the newest undamaged one has other arrays, or one cannot be read now.
    """
    reasons: dict[int, str] = {}
    steps = sorted(self._manager.all_steps())
    if only not in (None, *steps):
      right = f'one of the steps {", ".join(map(str, steps)) or "(none)"}'
      raise InputError(self._manager.directory, f'has no checkpoint of step {only}', right)
    for step in reversed(steps) if only is None else [only]:
      state, refusal, reason = None, None, ''
      try:
        state = self.restore(abstract, step)
      except InputError as error:
        refusal = error
      except Damaged as error:
        reason = str(error)
      if processes.any_process(refusal is not None):
        right = 'a checkpoint that all processes can use; see the message of that process'
        raise refusal or InputError(self._path(step), 'was refused by another process', right)
      if processes.any_process(bool(reason)):
        reasons[step] = reason or 'another process cannot read it'
        continue
      self._skip_damaged(reasons, step)
      return state, step
    if reasons:
      newest = max(reasons)
      which = 'all checkpoints are damaged; the newest' if only is None else 'damaged: checkpoint'
      wrong = f'{which}, {newest}: {reasons[newest]}'
      raise InputError(self._manager.directory, wrong, 'a copy of a good one, or another workdir')
    return None

  def close(self) -> None:
    """Waits for the save in progress and closes Orbax's manager."""
    self.wait()
    self._manager.close()

  def _path(self, step: int) -> pathlib.Path:
    return pathlib.Path(self._manager.directory) / str(step)

  def _skip_damaged(self, reasons: dict[int, str], restored: int) -> None:
    """Logs the damaged steps, and renames them unless `read_only`."""
    if jax.process_index() == 0:
      for step, reason in reasons.items():
        renamed = '' if self._read_only else f', renamed to {self._free_name(step, "damaged")}'
        words = 'skipped: %s is damaged (%s)%s; restored step %d instead'
        logging.getLogger(__name__).warning(words, self._path(step), reason, renamed, restored)
    if not self._read_only:
      self.set_aside(reasons, 'damaged')

  def set_aside(self, steps: Collection[int], why: str) -> None:
    """Renames checkpoints to STEP.`why`, so that their steps can be saved again."""
    if steps:
      if jax.process_index() == 0:
        for step in steps:
          self._path(step).rename(self._path(step).with_name(self._free_name(step, why)))
      processes.barrier()  # All processes list the folder after the renames.
      self._manager.reload()

  def _free_name(self, step: int, why: str) -> str:
    names = (f'{step}.{why}{number or ""}' for number in itertools.count())
    return next(name for name in names if not self._path(step).with_name(name).exists())

  def _barrier(self, *, key: str, timeout_ms: int) -> None:
    """Orbax's barrier of the threads that save, one in each process.

    A thread that failed records its error and does not wait: the others may never come, and Orbax
    would report the error only after its timeout of 20 minutes.
    """
    error = sys.exception()
    if error is not None and threading.current_thread() is not threading.main_thread():
      self._failed = error
      return
    ocp.multihost.get_barrier_sync_fn()(key=key, timeout_ms=timeout_ms)


def _system_error(error: BaseException | None) -> str:
  """The error of the operating system that made a read fail; '' if files are missing or truncated.

  TensorStore raises ValueErrors whose text ends in [os_error_code='5'].
  """
  while error is not None:
    cause = error.__cause__
    if found := re.search(r"os_error_code='(\d+)'", str(error)):
      error = OSError(int(found[1]), os.strerror(int(found[1])))
    missing = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
    if isinstance(error, OSError) and not missing:
      return error.strerror or str(error) or type(error).__name__
    error = cause
  return ''


def _check_arrays(saved: Any, abstract: Any, folder: pathlib.Path) -> None:
  """Refuses other arrays than those of `abstract`; Orbax's own message takes several pages."""
  has, wants = rules.by_path(saved), rules.by_path(abstract)
  for name in sorted(has.keys() | wants.keys()):
    there, here = (tuple(x[name].shape) if name in x else 'missing' for x in (has, wants))
    if there != here:
      wrong = f'is of another model: array {name!r} is {there} there and {here} in this config'
      raise InputError(folder, wrong, 'the config that the run was started with')
