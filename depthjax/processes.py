"""The processes of one run: how they find each other, agree, and part."""

import os
import sys
import threading
from typing import NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from depthjax.configuring import ConfigError

# Seconds after which a process that is not heard of counts as dead, and all others end.
_SILENCE = 30
# Seconds that processes wait for each other at the end; `barrier` has brought them there at once.
_PARTING = 30
# And after an error, which the others may not know of.
_GRACE = 3


def start(cluster: str = '') -> None:
  """Joins the other processes of a run, before any device is used.

  `cluster` is '' for one process, 'auto' where the environment says it (Cloud TPU, GKE, Slurm,
  Open MPI), or 'host:port,count,index'. When one of them dies, the others end as well: at once if
  it was the first or computes with them, else within about half a minute.

  Raises:
    ConfigError: anything else, or 'auto' where no such environment is.
  """
  if not cluster:
    return
  limits = {'heartbeat_timeout_seconds': _SILENCE, 'shutdown_timeout_seconds': _PARTING}
  if cluster == 'auto':
    try:
      jax.distributed.initialize(**limits)
    except ValueError as error:
      raise ConfigError(
        f'cluster is auto, and no cluster is found here ({error}); use host:port,count,index'
      ) from error
    return
  try:
    address, count, index = cluster.split(',')
    numbers = int(count), int(index)
  except ValueError as error:
    raise ConfigError(f"cluster is {cluster!r}; '', auto or host:port,count,index") from error
  jax.distributed.initialize(address, *numbers, **limits)


def any_process(flag: bool) -> bool:
  """True on every process once it is true on one; called by all processes at the same step."""
  if jax.process_count() == 1:
    return flag
  return bool(multihost_utils.process_allgather(np.asarray(flag)).any())


def barrier() -> None:
  """Returns once all processes are here, however long the last one takes."""
  any_process(True)


def leave(code: int) -> NoReturn:
  """Ends one of several processes with `code`, without waiting for what others may never do.

  A normal exit waits for all of them to exit; those that compute would wait for this one.
  """
  sys.stdout.flush()
  sys.stderr.flush()
  parting = threading.Thread(target=jax.distributed.shutdown, daemon=True)
  parting.start()
  parting.join(_GRACE)
  os._exit(code)
