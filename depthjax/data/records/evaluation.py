"""Whole records of prepared datasets, for evaluation: RGB-D, pairs of pictures, mattes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from depthjax.data.sources import prepared


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
    return {name: _converted(value) for name, value in self.part.read(index).items()}

  @property
  def fields(self) -> frozenset[str]:
    """What a record has."""
    return frozenset(self.part.records.dataset_info.features)


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


def open_scored(where: str, split: str = 'test', *, data_dir=None) -> Records:
  """Records that something can be scored against: open_pairs, or else open_rgbd.

  Args:
    where, split, data_dir: as prepared.open_part.

  Raises:
    ValueError: as prepared.open_part.
  """
  needs = ('image', ('target', 'disparity'))
  found = Records(prepared.open_part(where, split, needs, data_dir=data_dir))
  if 'target' in found.fields:
    return found
  return open_rgbd(where, split, data_dir=data_dir)


def _converted(value):
  if isinstance(value, bytes):
    return value.decode()
  value = np.asarray(value)
  if value.dtype == np.uint8:
    return value.astype(np.float32) / 255
  return float(value) if value.ndim == 0 else value
