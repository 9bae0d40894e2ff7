"""Checkpoints by Orbax: asynchronous, atomic, kept by policy, restored on any number of devices."""

import contextlib
import errno
import functools
import logging
import os
import pathlib
import re
import sys
import threading
import warnings
from typing import Any

import jax
import orbax.checkpoint as ocp

from depthjax import processes
from depthjax.files.errors import InputError

_ITEM = 'default'  # The folder that Orbax makes for the one tree in a checkpoint.


# A read of an array that had not begun when another one failed; Orbax drops it.
_UNREAD = "coroutine '_read_array_index_and_device_put' was never awaited"

# What reads of an array say that end, or never begin, after another one failed.
_LATE = ('Event loop is closed', 'Encountered error while reading array index', _UNREAD)

# Reads that failed of the machine and not of the files; TensorStore has words alone, no errno.
_PASSING = (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EACCES)
_PASSING += (errno.EAGAIN, errno.ENOMEM, errno.ENOTCONN, errno.ECONNRESET, errno.EHOSTDOWN)
_PASSING_WORDS = (*map(os.strerror, _PASSING), 'UNAVAILABLE:', 'DEADLINE_EXCEEDED:')


class Damaged(Exception):
  """A checkpoint that cannot be read whole, and why, in one line."""


class _Manager(ocp.CheckpointManager):
  """Orbax's, but it leaves it to the loop to ask whether the run is to stop.

  Both asking, of moments that they count differently, would mislead the service that answers.
  """

  def reached_preemption(self, step: int) -> bool:
    return False


class Checkpoints:
  """The checkpoints of one run, in `folder`/STEP.

  A save is written under a temporary name and renamed when whole: a run killed in the middle of
  one leaves the last good checkpoint, and what it left behind is cleared at the next start. As a
  context it waits for the save under way, unless the processes that it needs are gone.
  """

  def __init__(
    self,
    folder: str | pathlib.Path,
    *,
    keep: int = 3,
    keep_every: int = 0,
    read_only: bool = False,
  ):
    self._read_only = read_only
    self._failed: BaseException | None = None
    # Only the run itself may clear: another reader would take the save it has under way.
    options = ocp.CheckpointManagerOptions(
      max_to_keep=keep,
      keep_period=keep_every or None,
      # The loop says when; Orbax by itself saves the first step it is shown as well.
      should_save_fn=lambda step, latest: True,
      cleanup_tmp_directories=True,
      async_options=ocp.AsyncOptions(barrier_sync_fn=self._meet),
    )
    reading = ocp.CheckpointManagerOptions(
      read_only=True, save_interval_steps=0, create=False, max_to_keep=None
    )
    _hush_latecomers()
    self._manager = _Manager(
      pathlib.Path(folder).absolute(),
      item_handlers=ocp.StandardCheckpointHandler(),
      options=reading if read_only else options,
    )

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
    if error is None:
      self.close()
    elif not isinstance(error, jax.errors.JaxRuntimeError):  # That is how a lost process shows.
      with contextlib.suppress(Exception):  # The first error is the one to tell.
        self.close()

  def latest(self) -> int | None:
    """The newest step, complete or being saved; None where there is none."""
    return self._manager.latest_step()

  def save(self, step: int, state: Any) -> None:
    """Starts to save and returns once the arrays are copied; a step that exists stays.

    Raises:
      Exception: the save before this one failed.
    """
    self.check()
    if step != self.latest():
      self._manager.save(step, args=ocp.args.StandardSave(state))

  def check(self) -> None:
    """Raises what the save under way failed of, without waiting for it."""
    if self._failed is not None:
      raise self._failed

  def wait(self) -> None:
    """Returns once the save under way is complete; raises what it failed of."""
    self._manager.wait_until_finished()
    self.check()

  def restore(self, abstract: Any, step: int | None = None) -> Any:
    """The state of `step` (the newest), laid out as `abstract` says.

    Waits for no other process, so one may fail alone. Files that are missing, cut or empty are
    noticed; flipped bits inside the data of an array are not, as these have no checksums.

    Raises:
      InputError: the checkpoint is of a model with other arrays, or it may be sound, but the disk
        or the system refuses to read it.
      Damaged: it is not there whole.
    """
    step = self.latest() if step is None else step
    folder = pathlib.Path(self._manager.directory) / str(step)
    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me})
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
    with contextlib.closing(ocp.Checkpointer(handler, multiprocessing_options=alone)) as reader:
      try:
        # The reader's own would hide why the metadata cannot be read.
        _same_arrays(handler.metadata(folder / _ITEM), abstract, str(folder))
        return reader.restore(folder / _ITEM, args=ocp.args.StandardRestore(abstract))
      except (InputError, MemoryError, jax.errors.JaxRuntimeError):
        raise
      except Exception as error:  # Orbax and TensorStore raise of all kinds, Exception itself too.
        if words := _passing(error):
          right = 'a disk that can be read; the same command then tries again'
          raise InputError(folder, f'cannot be read now ({words})', right) from error
        raise Damaged(_first_line(error)) from error

  def restore_newest(self, abstract: Any) -> tuple[Any, int] | None:
    """The newest state that is sound, and its step; None where there is no checkpoint at all.

    A damaged one is skipped with a warning and, unless this is read-only, moved to STEP.damaged,
    so that its step can be saved again. All processes take the same: what is damaged for one is
    damaged. Nothing is moved where none is sound, nor where one cannot be read for now.

    Raises:
      InputError: none is sound, the newest sound one is of another model, or one that may be sound
        cannot be read; on all processes alike.
    """
    reasons: dict[int, str] = {}
    for step in sorted(self._manager.all_steps(), reverse=True):
      state, refusal, reason = None, None, ''
      try:
        state = self.restore(abstract, step)
      except InputError as error:
        refusal = error
      except Damaged as error:
        reason = str(error)
      if processes.agreed(refusal is not None):
        folder = pathlib.Path(self._manager.directory) / str(step)
        right = 'a checkpoint that all can use; that process says more'
        raise refusal or InputError(folder, 'is refused by another process', right)
      if processes.agreed(bool(reason)):
        reasons[step] = reason or 'another process cannot read it'
        continue
      self._set_aside(reasons, step)
      return state, step
    if reasons:
      newest = max(reasons)
      wrong = f'holds no sound checkpoint; the newest, {newest}, is damaged: {reasons[newest]}'
      raise InputError(self._manager.directory, wrong, 'a copy of a sound one, or another workdir')
    return None

  def close(self) -> None:
    """Waits for the save under way."""
    self.wait()
    self._manager.close()

  def _set_aside(self, reasons: dict[int, str], sound: int) -> None:
    for step, reason in reasons.items():
      folder = pathlib.Path(self._manager.directory) / str(step)
      aside = _free_name(folder.with_name(f'{step}.damaged'))
      if jax.process_index() == 0:
        moved = '' if self._read_only else f', moved to {aside.name}'
        words = 'skipped: %s is damaged (%s)%s; taken instead: %d'
        logging.getLogger(__name__).warning(words, folder, reason, moved, sound)
        if not self._read_only:
          folder.rename(aside)
    if reasons and not self._read_only:
      processes.agreed(True)  # Nobody looks before all are moved.
      self._manager.reload()

  def _meet(self, *, key: str, timeout_ms: int) -> None:
    """Where the threads of a save wait for those of the other processes.

    One that failed does not: the others cannot come, and its error would be kept for the twenty
    minutes that Orbax waits.
    """
    error = sys.exception()
    if error is not None and threading.current_thread() is not threading.main_thread():
      self._failed = error
      return
    ocp.multihost.get_barrier_sync_fn()(key=key, timeout_ms=timeout_ms)


def _hush_latecomers() -> None:
  """Reads and writes that end after another one failed say so, each in a traceback of its own.

  Those that never began say it whenever their memory is freed: as a warning, or to the hook where
  warnings are errors.
  """
  # Anew for each: whoever made the one before may have taken its filters back.
  warnings.filterwarnings('ignore', re.escape(_UNREAD), RuntimeWarning)
  _hook()


@functools.cache
def _hook() -> None:
  """Puts the filter before what tells of errors that nobody can catch, once in a process."""
  tell = sys.unraisablehook

  def filtered(unraisable: Any) -> None:
    if not str(unraisable.exc_value).startswith(_LATE):
      tell(unraisable)

  sys.unraisablehook = filtered


def _free_name(path: pathlib.Path) -> pathlib.Path:
  number, free = 1, path
  while free.exists():
    number += 1
    free = path.with_name(f'{path.name}{number}')
  return free


def _passing(error: BaseException | None) -> str:
  """Why a read failed that may succeed another time; '' for files that are missing or cut short."""
  while error is not None:
    missing = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
    if isinstance(error, OSError) and not missing:
      return error.strerror or str(error) or type(error).__name__
    for words in _PASSING_WORDS:
      if words in str(error):
        return words.rstrip(':')
    error = error.__cause__
  return ''


def _first_line(error: Exception) -> str:
  return f'{type(error).__name__}: {(str(error).splitlines() or [""])[0][:200]}'


def _same_arrays(saved: Any, abstract: Any, where: str) -> None:
  """Orbax pads or cuts arrays of another shape silently or fails in pages; this fails in a line."""
  has = _shapes(saved)
  wants = _shapes(abstract)
  for name in sorted(has.keys() | wants.keys()):
    if has.get(name) != wants.get(name):
      raise InputError(
        where,
        f'is of another model: array {name!r} is {has.get(name, "missing")} there and '
        f'{wants.get(name, "missing")} in this config',
        'the config that the run was started with',
      )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
  leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
  return {_path_name(path): tuple(leaf.shape) for path, leaf in leaves}


def _path_name(path: tuple) -> str:
  """Attributes and keys alike: the metadata has dicts where the state has types."""
  return '/'.join(str(getattr(k, 'name', getattr(k, 'key', getattr(k, 'idx', k)))) for k in path)
