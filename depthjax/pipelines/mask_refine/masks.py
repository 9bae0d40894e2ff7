"""Masks [h w 1] of objects in a depth map: checked, in sequence, and maps composited by them.

A mask is soft in [0, 1], 1 on the object whose border the depth map shall follow. It has two sides,
separated at one half.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np

from depthjax.files import depth
from depthjax.files.errors import InputError
from depthjax.pipelines import maps

Name = str | os.PathLike


class Layers(NamedTuple):
  """Two maps [h w 1], each complete: the object, and what is around it."""

  inside: np.ndarray
  outside: np.ndarray


def checked(
  mask: np.ndarray,
  shape: tuple[int, int],
  name: Name = 'mask',
  photo: tuple[int, int] | None = None,
) -> np.ndarray:
  """The mask, resized as by `maps.resized` to the size of a depth map, float32 [*shape 1].

  Args:
    mask: in [0, 1] or bool, [h w] or [h w 1].
    shape: height and width of the depth map.
    name: the file, for messages.
    photo: height and width whose aspect ratio the mask must have; default: those of the map.

  Raises InputError: several channels, NaN, values outside [0, 1], aspect ratios that differ by more
  than 2 %, no pixel on one of the sides.
  """
  mask = np.asarray(mask)
  mask = mask[..., None] if mask.ndim == 2 else mask
  if mask.ndim != 3 or mask.shape[-1] != 1 or not mask.size:
    raise InputError(name, f'has the shape {list(mask.shape)}', 'one channel, [h w] or [h w 1]')
  mask = np.asarray(mask, np.float32)
  low, high = mask.min(), mask.max()
  if not (low >= 0 and high <= 1):
    wrong = 'has NaN' if np.isnan(low) else f'has values from {low:g} to {high:g}'
    raise InputError(name, wrong, 'values in [0, 1], 1 inside the object')
  of = 'the photo' if photo else 'the depth map'
  depth.needs_resize(name, mask.shape[:2], tuple(photo or shape), of)
  mask = maps.resized(mask, tuple(shape))
  inside = mask > 0.5
  if inside.all() or not inside.any():
    wrong = 'is full: all' if inside.all() else 'is empty: none'
    wrong = f'{wrong} of {shape[1]} x {shape[0]} pixels are above one half'
    raise InputError(name, wrong, 'a mask with pixels on both sides')
  return mask


def composite(layers: Layers, mask: np.ndarray, *, soft: bool = False) -> np.ndarray:
  """The inner layer where the mask, as from `checked`, is above one half, else the outer [h w 1].

  If `soft`, blended by the mask: also depths between two surfaces, which belong to neither.
  """
  if not soft:
    return np.where(mask > 0.5, layers.inside, layers.outside)
  return mask * layers.inside + (1 - mask) * layers.outside


def farther(layers: Layers, mask: np.ndarray) -> bool:
  """Whether the mask is of the farther side, as that of a sky is, or is inverted by mistake.

  The medians of both disparity layers along the border of the mask are compared.
  """
  inside = (mask > 0.5).astype(np.uint8)
  border = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
  return bool(np.median(layers.inside[border]) < np.median(layers.outside[border]))


def farthest_first(
  disparity: np.ndarray, masks: Mapping[Name, np.ndarray]
) -> list[tuple[Name, np.ndarray]]:
  """Masks by name in the order in which they refine a map [h w 1]: nearer objects cover others.

  They are sorted by the median disparity in each mask.
  """
  return sorted(masks.items(), key=lambda item: np.median(disparity[item[1] > 0.5]))
