"""TensorBoard event files, read by their format: length, checksum, event, checksum."""

import struct

import numpy as np
from tensorboardX.proto import event_pb2

from depthjax.train.events import Events


def _events(path):
  data = path.read_bytes()
  found = []
  while data:
    (length,) = struct.unpack('<Q', data[:8])
    event = event_pb2.Event()
    event.ParseFromString(data[12 : 12 + length])
    found.append(event)
    data = data[12 + length + 4 :]
  return found


def test_events_can_be_read_and_begin_after_the_start(tmp_path):
  events = Events(tmp_path / 'events', start=4)
  events.scalars(5, {'train/loss': 0.5, 'train/rate': 2.0})
  events.images(6, {'pictures': np.zeros((4, 8, 3), np.float32)})
  (path,) = (tmp_path / 'events').iterdir()
  version, begins, loss, rate, picture = _events(path)  # Flushed before the file is closed.
  events.close()
  assert 'tfevents' in path.name and version.file_version == 'brain.Event:2'
  # TensorBoard hides the events of earlier files from this step on.
  assert begins.step == 5 and begins.session_log.status == event_pb2.SessionLog.START
  assert (loss.step, loss.summary.value[0].tag) == (5, 'train/loss')
  assert (loss.summary.value[0].simple_value, rate.summary.value[0].simple_value) == (0.5, 2.0)
  assert picture.step == 6 and picture.summary.value[0].image.width == 8
