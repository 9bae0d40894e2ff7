"""TensorBoard's events of a run: scalars and pictures."""

import os
import pathlib
import socket
import time
from typing import Any

import numpy as np
from tensorboardX import summary
from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import RecordWriter


class Events:
  """A file of events in `folder`; those of earlier files past step `start` are no longer shown.

  Written by the caller's own thread, unlike tensorboardX's SummaryWriter: an error in its thread
  (a full disk) ends that thread, and the run then waits for it for ever.
  """

  def __init__(self, folder: pathlib.Path, *, start: int):
    folder.mkdir(exist_ok=True)
    name = f'events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}'
    self._file = RecordWriter(str(folder / name))
    self._write(0, file_version='brain.Event:2')
    begins = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    self._write(start + 1, session_log=begins)

  def scalars(self, step: int, values: dict[str, float]) -> None:
    """Numbers of one step, by name."""
    for name, value in values.items():
      self._write(step, summary=summary.scalar(name, value))
    self._file.flush()

  def images(self, step: int, pictures: dict[str, np.ndarray]) -> None:
    """Pictures [h w 3] in [0, 1], by name."""
    for name, picture in pictures.items():
      self._write(step, summary=summary.image(name, picture, dataformats='HWC'))
    self._file.flush()

  def close(self) -> None:
    """Closes the file."""
    self._file.close()

  def _write(self, step: int, **content: Any) -> None:
    event = event_pb2.Event(wall_time=time.time(), step=step, **content)
    self._file.write(event.SerializeToString())
