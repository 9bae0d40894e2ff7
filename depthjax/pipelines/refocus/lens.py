"""The lens of a picture: its focus and blur radius, from what a user asks for. Shapes: h w."""

import math
import operator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from depthjax.pipelines.refocus import refocus
from depthjax.pipelines.refocus.learned import Learned

APERTURE = 0.5  # Default.
# A disparity, a pixel (x, y), or a box (x0, y0, x1, y1), the ends exclusive.
Focus = float | Sequence[int]


class Lens(NamedTuple):
  """Arguments of refocus.refocus, and what limited them."""

  focus: float  # Disparity in focus.
  radius: float  # Blur radius in pixels at a disparity difference of 1.
  largest: float  # Largest blur radius rendered, px.
  wanted: float  # The same before it was limited to what can be rendered, px.


def lens(
  disparity: np.ndarray,
  *,
  focus: Focus | None = None,
  aperture: float | None = None,
  radius: float | None = None,
  learned: Learned | None = None,
  sweeps: bool = False,
) -> Lens:
  """The focus, and the blur radius, limited to the largest that can be rendered.

  Args:
    disparity: normalised disparity [h w 1] of the photograph.
    focus: see in_focus.
    aperture: 0 (closed) to 1 (wide open), default 0.5; the radius grows with the long side.
    radius: instead, the blur radius in pixels at a disparity difference of 1.
    learned: the learned renderer, if it is used; it has a limit of its own.
    sweeps: whether the focus moves through all disparities from 0 to 1.

  Raises:
    ValueError: as in_focus; an aperture outside [0, 1], a radius that is negative or not finite, or
      both are given.
  """
  at, shape = in_focus(disparity, focus), disparity.shape[:2]
  if radius is None:
    radius = refocus.radius_of(APERTURE if aperture is None else aperture, shape)
  elif aperture is not None:
    raise ValueError('aperture and radius are both given; give one of them')
  if not 0 <= radius < math.inf:
    raise ValueError(f'the blur radius is {radius:g} pixels; it must be at least 0 and finite')
  # A moving focus is at both ends of the range.
  wanted = radius if sweeps else refocus.largest_blur(disparity, at, radius)
  largest = min(wanted, refocus.largest_radius(shape, learned))
  return Lens(at, radius * largest / wanted if wanted else radius, largest, wanted)


def in_focus(disparity: np.ndarray, focus: Focus | None = None) -> float:
  """The disparity in focus: as given, or the median around a pixel or within a box.

  Args:
    disparity: normalised disparity [h w 1].
    focus: a disparity in [0, 1], a pixel (x, y), or a box (x0, y0, x1, y1); default: the middle.

  Raises:
    ValueError: a disparity outside [0, 1], a pixel or box outside the picture, anything else.
  """
  h, w = disparity.shape[:2]
  if focus is None:
    focus = w // 2, h // 2
  if np.ndim(focus) == 0:
    if not 0 <= focus <= 1:
      raise ValueError(f'the focus is at disparity {focus:g}; it must be in [0, 1]')
    return float(focus)
  try:
    numbers = tuple(map(operator.index, focus))
  except TypeError:
    numbers = ()
  if len(numbers) == 2:
    return refocus.disparity_at(disparity, *numbers)
  if len(numbers) == 4:
    return refocus.disparity_within(disparity, numbers)
  right = 'a disparity, a pixel (x, y) or a box (x0, y0, x1, y1)'
  raise ValueError(f'the focus is {focus!r}; it must be {right}')
