"""One run at a time in a folder: process 0 holds a lock that the kernel drops when it dies."""

import contextlib
import fcntl
import json
import logging
import os
import pathlib
import socket
from collections.abc import Iterator
from typing import IO

import jax

from depthjax import processes
from depthjax.files.errors import InputError

NAME = 'lock'


@contextlib.contextmanager
def held(workdir: pathlib.Path) -> Iterator[None]:
  """Makes `workdir` and keeps other runs out of it while the block lasts; all processes call it.

  The lock is flock's on WORKDIR/lock: it vanishes with the process, however that ends, and the file
  that stays means nothing by itself. Between hosts it holds where the file system has it: NFS
  since Linux 2.6.12 (after a host died, once its lease ran out), GPFS and CephFS, Lustre mounted
  with `-o flock`. FUSE mounts of buckets know it on one host alone. Where there is none at all, a
  warning says so and the run goes on.

  Raises:
    InputError: another run is in the folder, or it cannot be made or written to, on all processes
      alike.
  """
  with contextlib.ExitStack() as stack:
    refusal = None
    try:
      workdir.mkdir(parents=True, exist_ok=True)
      if jax.process_index() == 0:
        file = stack.enter_context(open(workdir / NAME, 'a+', encoding='utf-8'))
        if holder := _taken(file):
          right = 'another workdir, or that run to end first'
          refusal = InputError(workdir, f'is in use by {holder}', right)
    except OSError as error:
      wrong = f'cannot be made or written to ({error.strerror})'
      refusal = InputError(workdir, wrong, 'a workdir that can, with free space')
    if processes.any_process(refusal is not None):
      right = 'another workdir; that process says more'
      raise refusal or InputError(workdir, 'cannot be had by another process', right)
    yield


def _taken(file: IO[str]) -> str:
  """Takes the lock and leaves a name in it; or returns the name of who has it."""
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    file.seek(0)
    return _named(file.read())
  except OSError as error:
    words = 'no lock on %s (%s): nothing keeps a second run out of this folder'
    logging.getLogger(__name__).warning(words, file.name, error.strerror)
    return ''
  file.truncate(0)
  file.write(json.dumps({'process': os.getpid(), 'host': socket.gethostname()}) + '\n')
  file.flush()
  return ''


def _named(text: str) -> str:
  try:
    who = json.loads(text)
    return f'process {who["process"]} on {who["host"]}'
  except (ValueError, KeyError, TypeError):  # It has the lock and has not written yet.
    return 'another run'
