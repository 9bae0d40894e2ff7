"""Complete records of prepared datasets for evaluation: RGB-D, pairs of photos, mattes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from depthjax.data.sources import prepared


class Records(Sequence):
  """Records of a prepared dataset by number, decoded on demand.

  A record is a dict: images float32 [h w c] in [0, 1] (masks {0, 1}), `disparity` float32 [h w 1],
  near is large, 0 where `valid` is 0, `name` and `unit` str, other numbers float.
  """

  def __init__(self, part: prepared.Part):
    self.part = part

  def __len__(self) -> int:
    return len(self.part.chosen)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return {name: _converted(value) for name, value in self.part.read(index).items()}

  @property
  def fields(self) -> frozenset[str]:
    """Names of the fields of a record."""
    return frozenset(self.part.records.dataset_info.features)


def open_records(where: str, split: str = 'test') -> Records:
  """Records with a reference to score against.

  They have `image` and `target`, as those of ebb, or `image`, `disparity` and `valid`, as nyuv2.
  Arguments and errors are those of prepared.open_part.
  """
  part = prepared.open_part(where, split, ('image', ('target', 'disparity')))
  if 'disparity' in part.fields:
    part = prepared.open_part(where, split, ('image', 'disparity', 'valid'))
  return Records(part)


def _converted(value):
  if isinstance(value, bytes):
    return value.decode()
  value = np.asarray(value)
  if value.dtype == np.uint8:
    return value.astype(np.float32) / 255
  return float(value) if value.ndim == 0 else value
