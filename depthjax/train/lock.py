"""A file lock that allows one run at a time in a folder."""

import contextlib
import errno
import fcntl
import logging
import os
import pathlib
import socket
from collections.abc import Iterator
from typing import IO

import jax

from depthjax import processes
from depthjax.files.errors import InputError


@contextlib.contextmanager
def held(workdir: pathlib.Path) -> Iterator[None]:
  """Creates `workdir` and keeps other runs out of it during the block; all processes call it.

  Process 0 holds flock on WORKDIR/lock; the kernel releases it when the process ends, and the file
  itself remains. Between hosts this needs a file system with flock: NFS (Linux), GPFS, CephFS,
  Lustre with `-o flock`, but not buckets mounted by FUSE; without it, a warning is logged.

  Raises InputError on all processes if the folder is in use or cannot be created or written.
  """
  with contextlib.ExitStack() as stack:
    refusal = None
    try:
      workdir.mkdir(parents=True, exist_ok=True)
      if not os.access(workdir, os.W_OK):  # The file may be writable in a folder that is not.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
      if jax.process_index() == 0:
        file = stack.enter_context(open(workdir / 'lock', 'a+', encoding='utf-8'))
        if holder := _taken(file):
          right = 'another workdir, or that run to end first'
          refusal = InputError(workdir, f'is in use by {holder}', right)
    except OSError as error:
      wrong = f'cannot be created or written ({error.strerror})'
      refusal = InputError(workdir, wrong, 'a writable folder with free space')
    if processes.any_process(refusal is not None):
      right = 'another workdir; see the message of that process'
      raise refusal or InputError(workdir, 'cannot be used by another process', right)
    yield


def _taken(file: IO[str]) -> str:
  """Takes the lock and writes this process into the file; or returns the process that holds it."""
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    file.seek(0)
    return file.read().strip() or 'another run'  # It has not written its name yet.
  except OSError as error:
    words = '%s cannot be locked (%s): a second run in this folder would not be refused'
    logging.getLogger(__name__).warning(words, file.name, error.strerror)
    return ''
  file.truncate(0)
  file.write(f'process {os.getpid()} on {socket.gethostname()}\n')
  file.flush()
  return ''
