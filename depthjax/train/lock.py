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
  """Keeps other runs out of `workdir` while the block lasts; every process of a run calls it.

  The lock is flock's on WORKDIR/lock: it vanishes with the process, however that ends, and the file
  that stays means nothing by itself. Between hosts it holds where the file system has it: NFS
  since Linux 2.6.12 (after a host died, once its lease ran out), GPFS and CephFS, Lustre mounted
  with `-o flock`. FUSE mounts of buckets know it on one host alone. Where there is none at all, a
  warning says so and the run goes on.

  Raises:
    InputError: another run is in the folder, on all processes alike.
  """
  file, holder = None, ''
  if jax.process_index() == 0:
    file = open(workdir / NAME, 'a+', encoding='utf-8')  # noqa: SIM115  Open while it is held.
    holder = _taken(file)
  try:
    if processes.agreed(bool(holder)):
      who = holder or 'another run, as process 0 says'
      raise InputError(workdir, f'is in use by {who}', 'another workdir, or that run to end first')
    yield
  finally:
    if file is not None:
      file.close()


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
