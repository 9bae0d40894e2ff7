"""The processes of one run: start, collective decisions, and exit."""

import os
import sys
import threading
from typing import NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from depthjax.configuring import ConfigError

# Seconds that an exit after an error waits for the other processes.
_ERROR_TIMEOUT = 3


def start(cluster: str = '') -> None:
  """Joins the other processes of a run; must precede any use of a device.

  When a process dies, the others exit too: at once if it was the first one or shared a computation
  with them, else within about half a minute.

  Args:
    cluster: '' for a single process, 'auto' to read the environment (Cloud TPU, GKE, Slurm, Open
      MPI), or 'host:port,count,index'. Other values, and 'auto' elsewhere, raise ConfigError.
  """
  if not cluster:
    return
  where: tuple = ()
  if cluster != 'auto':
    try:
      address, count, index = cluster.split(',')
      where = address, int(count), int(index)
    except ValueError as error:
      right = "use '', auto or host:port,count,index"
      raise ConfigError(f'cluster is {cluster!r}; {right}') from error
  try:
    jax.distributed.initialize(*where, heartbeat_timeout_seconds=30, shutdown_timeout_seconds=30)
  except ValueError as error:
    raise ConfigError(f'cluster is {cluster}: {error}; use host:port,count,index') from error


def any_process(flag: bool) -> bool:
  """Whether `flag` is true on any process; all processes must call it at the same point."""
  if jax.process_count() == 1:
    return flag
  return bool(multihost_utils.process_allgather(np.asarray(flag)).any())


def barrier() -> None:
  """Waits until all processes have called it; has no timeout."""
  any_process(True)


def leave(code: int) -> NoReturn:
  """Exits one of several processes with `code` after an error.

  A normal exit would wait for all processes, which may be waiting for this one.
  """
  sys.stdout.flush()
  sys.stderr.flush()
  shutdown = threading.Thread(target=jax.distributed.shutdown, daemon=True)
  shutdown.start()
  shutdown.join(_ERROR_TIMEOUT)
  os._exit(code)
