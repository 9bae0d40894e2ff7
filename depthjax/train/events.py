"""TensorBoard's events of a run: scalars and pictures."""

import pathlib
import time
from typing import Any

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2


class Events:
  """A file of events in `folder`; those of earlier files past step `start` are no longer shown.

  Written by the caller's own thread, unlike tensorboardX's SummaryWriter: an error in its thread
  (a full disk) ends that thread, and the run waits for it for ever.
  """

  def __init__(self, folder: pathlib.Path, *, start: int):
    folder.mkdir(exist_ok=True)
    self._writer = EventsWriter(str(folder / 'events'))
    session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    self._write(start + 1, session_log=session)

  def scalars(self, step: int, values: dict[str, float]) -> None:
    """Numbers of one step, by name."""
    for name, value in values.items():
      self._write(step, summary=summary.scalar(name, value))
    self._writer.flush()

  def images(self, step: int, pictures: dict[str, np.ndarray]) -> None:
    """Pictures [h w 3] in [0, 1], by name."""
    for name, picture in pictures.items():
      self._write(step, summary=summary.image(name, picture, dataformats='HWC'))
    self._writer.flush()

  def close(self) -> None:
    """Closes the file."""
    self._writer.close()

  def _write(self, step: int, **content: Any) -> None:
    self._writer.write_event(event_pb2.Event(wall_time=time.time(), step=step, **content))
