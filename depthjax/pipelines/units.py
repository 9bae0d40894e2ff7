"""Depth maps with their units: normalised disparity is converted back to values of the file."""

import math
import pathlib
from typing import NamedTuple

import cv2
import numpy as np

from depthjax.files import depth, depth_values
from depthjax.files.depth_values import Convention
from depthjax.pipelines import maps


class Map(NamedTuple):
  """A disparity map in [0, 1], with name, units and convention of its file."""

  values: np.ndarray  # float32 [h w 1].
  name: pathlib.Path | str
  offset: float = 0.0  # Of disparity in the units of the file.
  span: float = 1.0
  convention: Convention = 'disparity'
  # Infinitely far pixels [h w 1], if there are any, and their value in the file.
  far: np.ndarray | None = None
  farthest: float = np.inf
  full_scale: float | None = None  # The largest value that the file can have, if it is a PNG.

  def far_in(self, values: np.ndarray) -> np.ndarray:
    """Pixels of refined disparity [h w 1] that are infinitely far: bool [h w 1].

    They are those of this map, moved by up to two of its pixels to the refined edges: without those
    above half of the largest disparity of other pixels there, unless that is below 0.2, and with
    other pixels below half of the smallest.
    """
    if self.far is None:
      return np.zeros(values.shape, bool)
    shape = values.shape[:2]
    # Not interpolated: there is nothing between the sky and a near pixel.
    own, far = (
      maps.resized(x.astype(np.float32), shape, cv2.INTER_NEAREST) for x in (self.values, self.far)
    )
    far = far > 0.5
    radius = math.ceil(2 * max(1, shape[0] / self.far.shape[0]))
    window = np.ones((2 * radius + 1,) * 2, np.uint8)
    largest = cv2.dilate(np.where(far, 0, own), window)[..., None]
    smallest = cv2.erode(np.where(far, 1, own), window)[..., None]
    beside = cv2.dilate(far.astype(np.uint8), window)[..., None] > 0
    stays = (largest < 0.2) | (values < largest / 2)
    return (far & stays) | (~far & beside & (values < smallest / 2))

  def in_units(self, values: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Converts normalised disparity to the file's units; depth is clipped to its range.

    Disparity and `far`, which pixels are infinitely far, have any equal shape.
    """
    if self.convention != 'disparity':
      # Outside this range a disparity may be zero or negative.
      least = 0 if self.far is None else self.values[~self.far].min(initial=1)
      values = np.clip(values, least, 1)
    disparity = values.astype(np.float64) * self.span + self.offset
    result = depth_values.in_units(disparity, self.convention)
    return np.where(far, self.farthest, result).astype(np.float32)


def of(read: depth.Depth, name: pathlib.Path | str) -> Map:
  """A depth map that was read or predicted, with its units."""
  result = Map(read.disparity, name, read.low, read.high - read.low, read.convention)
  if not read.far.any():
    return result
  farthest = float(read.raw[read.far & read.valid].max())
  return result._replace(far=read.far[..., None], farthest=farthest)
