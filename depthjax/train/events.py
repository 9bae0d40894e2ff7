"""TensorBoard event files: scalars and pictures of a run."""

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
  """An event file in `folder`; TensorBoard then hides what earlier files have after step `start`.

  It writes in the calling thread. tensorboardX's SummaryWriter writes in a thread of its own; on a
  full disk that thread dies and the run waits for it forever.
  """

  def __init__(self, folder: pathlib.Path, *, start: int):
    folder.mkdir(exist_ok=True)
    name = f'events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}'
    self._file = RecordWriter(str(folder / name))
    self._write(0, file_version='brain.Event:2')
    self._write(start + 1, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))

  def scalars(self, step: int, values: dict[str, float]) -> None:
    """Writes scalars by name."""
    for name, value in values.items():
      self._write(step, summary=summary.scalar(name, value))
    self._file.flush()

  def images(self, step: int, pictures: dict[str, np.ndarray]) -> None:
    """Writes pictures [h w 3] in [0, 1] by name."""
    for name, picture in pictures.items():
      self._write(step, summary=summary.image(name, picture, dataformats='HWC'))
    self._file.flush()

  def close(self) -> None:
    """Closes the file."""
    self._file.close()

  def _write(self, step: int, **content: Any) -> None:
    event = event_pb2.Event(wall_time=time.time(), step=step, **content)
    self._file.write(event.SerializeToString())
