"""Shallow depth of field for a photograph of any size: h w its rows and columns.

`disparity` [h w 1] is min-max normalised, 1 the nearest. A pixel's circle of confusion has the
radius `radius` |disparity - focus|, as behind a thin lens: `radius`, in pixels of the photograph,
is the blur of the farthest point when the nearest is in focus.
"""

import math
from collections.abc import Iterator

import numpy as np

from depthjax.pipelines.refocus import classical
from depthjax.pipelines.refocus import hybrid as hybrid_lib
from depthjax.pipelines.refocus import learned as learned_lib
from depthjax.pipelines.refocus.learned import Learned, builtin, load

__all__ = ['Learned', 'builtin', 'load']

# An aperture of 1 blurs 1/20 of the long side, 16 px at 320.
_APERTURE = 20
# A disc wider than half the long side shows no picture any more, and takes hours to draw.
_LARGEST = 1 / 4


def radius_of(aperture: float, shape: tuple[int, int]) -> float:
  """The `radius`, in pixels, of an aperture in [0, 1] for a photograph of (h, w).

  Raises:
    ValueError: the aperture is not in [0, 1].
  """
  if not 0 <= aperture <= 1:
    raise ValueError(f'the aperture is {aperture:g}; it must lie in [0, 1]')
  return aperture * max(shape) / _APERTURE


def disparity_at(disparity: np.ndarray, x: int, y: int) -> float:
  """Disparity to focus on at a pixel: the median of the 5 x 5 around it.

  Raises:
    ValueError: the pixel is outside the picture.
  """
  h, w = disparity.shape[:2]
  if not (0 <= x < w and 0 <= y < h):
    raise ValueError(f'the point {x},{y} is outside the picture of {w} x {h} pixels')
  return float(np.median(disparity[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]))


def disparity_within(disparity: np.ndarray, box: tuple[int, int, int, int]) -> float:
  """Disparity to focus on: the median within a box (x0, y0, x1, y1), x1 and y1 exclusive.

  Raises:
    ValueError: the box is empty, or not within the picture.
  """
  h, w = disparity.shape[:2]
  x0, y0, x1, y1 = box
  text = ','.join(map(str, box))
  if not (x0 < x1 and y0 < y1):
    raise ValueError(f'the box {text} is empty; x0 < x1 and y0 < y1')
  if not (0 <= x0 and x1 <= w and 0 <= y0 and y1 <= h):
    raise ValueError(f'the box {text} is not within the picture of {w} x {h} pixels')
  return float(np.median(disparity[y0:y1, x0:x1]))


def refocus(
  photo: np.ndarray,
  disparity: np.ndarray,
  *,
  focus: float,
  radius: float,
  learned: Learned | None = None,
  hybrid: bool = False,
  sweep: float | None = None,
) -> np.ndarray:
  """The photograph through a lens focused at a disparity.

  Args:
    photo: sRGB in [0, 1], [h w 3].
    disparity: normalised disparity [h w 1].
    focus: disparity in focus.
    radius: of the circle of confusion at the whole range of disparity from the focus, pixels of
      the photograph; 0 returns the photograph.
    learned: the learned renderer; without, the classical one of single images.
    hybrid: whether the learned renderer is asked beside depth edges only, see hybrid.py.
    sweep: the largest blur, in pixels, of the animation that this is a frame of: all its frames
      use the same level of the pyramid, so that none jumps.

  Returns:
    sRGB in [0, 1], float32 [h w 3].

  Raises:
    ValueError: shapes that don't belong together; a focus or radius that is no number, a negative
      radius, or a blur too large for the photograph: more than a quarter of its long side, or the
      networks' lowest resolution would be smaller than 16 pixels; `hybrid` without `learned`.
  """
  _check(photo, disparity, focus, radius)
  if hybrid and learned is None:
    raise ValueError('the hybrid renderer needs the learned one')
  photo, disparity = (np.asarray(x, np.float32) for x in (photo, disparity))
  defocus = np.float32(radius) * (disparity - np.float32(focus))
  largest = largest_blur(disparity, focus, radius)
  most = largest if sweep is None else max(largest, sweep)
  _check_blur(most, photo)
  if largest == 0:
    return photo
  if learned is None:
    return np.clip(classical.render(photo, defocus, most), 0, 1)
  count = learned_lib.doublings(photo.shape[:2], most, learned.radius)
  share = hybrid_lib.share(disparity, defocus, count, learned.radius) if hybrid else None
  if share is not None and not share.any():
    return np.clip(classical.render(photo, defocus, most), 0, 1)
  result = np.clip(learned_lib.render(learned, photo, defocus, count), 0, 1)
  if share is not None:
    result = hybrid_lib.mix(classical.render(photo, defocus, most), result, share)
  if largest < 1:
    # What a network makes of no blur is not quite the photograph: the blur opens from that.
    result = hybrid_lib.mix(photo, result, np.float32(largest))
  return np.clip(np.asarray(result), 0, 1)


def largest_blur(disparity: np.ndarray, focus: float, radius: float) -> float:
  """The largest circle of confusion of a scene: its radius in pixels; arguments as `refocus`."""
  return radius * float(np.abs(disparity - focus).max())


def _check(photo: np.ndarray, disparity: np.ndarray, focus: float, radius: float) -> None:
  if photo.shape[:2] != disparity.shape[:2] or photo.ndim != 3 or disparity.ndim != 3:
    raise ValueError(f'photo {photo.shape} and disparity {disparity.shape} differ in size')
  if not 0 <= radius < math.inf:
    raise ValueError(f'the blur radius is {radius:g} pixels; it must be a number from 0')
  if not math.isfinite(focus):
    raise ValueError(f'the focus is at disparity {focus}; it must be a number')


def _check_blur(blur: float, photo: np.ndarray) -> None:
  most = _LARGEST * max(photo.shape[:2])
  if not blur <= most:
    right = f'up to {most:g}, a quarter of the long side'
    raise ValueError(f'the blur radius is {blur:.4g} pixels; it must be {right}')


def focus_sweep(count: int, near: float = 1.0, far: float = 0.0) -> Iterator[float]:
  """Disparities of an animation from near to far and back, `count` frames, endless when looped."""
  for i in range(count):
    yield far + (near - far) * (0.5 + 0.5 * math.cos(2 * math.pi * i / count))


def aperture_sweep(count: int, radius: float) -> Iterator[float]:
  """Radii of an animation from closed to `radius` and back, `count` frames, endless when looped."""
  for i in range(count):
    yield radius * (0.5 - 0.5 * math.cos(2 * math.pi * i / count))
