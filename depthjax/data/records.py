"""Whole records of prepared datasets, for evaluation: RGB-D, pairs of pictures, mattes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from depthjax.data import prepared


class Records(Sequence):
  """Records of a prepared dataset by number, decoded on demand; picklable.

  A record is a dict: pictures float32 [h w c] in [0, 1] (a mask {0, 1}), `disparity` float32
  [h w 1], near is large, 0 where `valid` is 0, `name` and `unit` text, other numbers float.
  """

  def __init__(self, part: prepared.Part):
    self.part = part

  def __len__(self) -> int:
    return len(self.part.chosen)

  def __getitem__(self, index: int) -> dict[str, Any]:
    index = range(len(self))[index]
    record = self.part.read(index)
    return {name: _converted(value) for name, value in record.items()}


def open_rgbd(where: str, split: str = 'test', *, data_dir=None) -> Records:
  """Records with `image`, `disparity` and `valid` of a prepared dataset such as nyuv2.

  Args:
    where, split, data_dir: as prepared.open_part.

  Raises:
    ValueError: as prepared.open_part.
  """
  return Records(
    prepared.open_part(where, split, ('image', 'disparity', 'valid'), data_dir=data_dir)
  )


def open_pairs(where: str, split: str = 'test', *, data_dir=None) -> Records:
  """Records with `image` and its blurred `target` of a prepared dataset such as ebb or blb.

  Args:
    where, split, data_dir: as prepared.open_part.

  Raises:
    ValueError: as prepared.open_part.
  """
  return Records(prepared.open_part(where, split, ('image', 'target'), data_dir=data_dir))


def _converted(value):
  if isinstance(value, bytes):
    return value.decode()
  value = np.asarray(value)
  if value.dtype == np.uint8:
    return value.astype(np.float32) / 255
  return float(value) if value.ndim == 0 else value
