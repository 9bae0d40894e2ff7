"""Shallow depth of field for a photograph of any size. Shapes: h w of the photograph.

`disparity` [h w 1] is min-max normalised, 1 the nearest. As with a thin lens, a pixel's circle of
confusion has the radius `radius` |disparity - focus| in pixels of the photograph: `radius` is the
blur of the farthest point when the nearest is in focus.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from depthjax.ops import colour
from depthjax.pipelines.refocus import classical
from depthjax.pipelines.refocus import hybrid as hybrid_lib
from depthjax.pipelines.refocus import learned as learned_lib
from depthjax.pipelines.refocus.learned import Learned, builtin, load

__all__ = ['Learned', 'builtin', 'load']

# Long side over the blur radius at aperture 1: 16 px at 320.
_APERTURE = 20
# Largest blur radius over the long side: larger ones leave no picture and take hours to render.
_LARGEST = 1 / 4


def radius_of(aperture: float, shape: tuple[int, int]) -> float:
  """Blur radius in pixels of an aperture in [0, 1], for a photograph of (h, w) pixels.

  Raises:
    ValueError: the aperture is not in [0, 1].
  """
  if not 0 <= aperture <= 1:
    raise ValueError(f'the aperture is {aperture:g}; it must be in [0, 1]')
  return aperture * max(shape) / _APERTURE


def disparity_at(disparity: np.ndarray, x: int, y: int) -> float:
  """Disparity to focus on at a pixel: the median of 5 x 5 pixels around it.

  Raises:
    ValueError: the pixel is outside the picture.
  """
  h, w = disparity.shape[:2]
  if not (0 <= x < w and 0 <= y < h):
    raise ValueError(f'pixel {x},{y} is outside the picture; it has {w} x {h} pixels')
  return float(np.median(disparity[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]))


def disparity_within(disparity: np.ndarray, box: tuple[int, int, int, int]) -> float:
  """Disparity to focus on: the median within a box (x0, y0, x1, y1), x1 and y1 exclusive.

  Raises:
    ValueError: the box is empty or not within the picture.
  """
  h, w = disparity.shape[:2]
  x0, y0, x1, y1 = box
  if not (0 <= x0 < x1 <= w and 0 <= y0 < y1 <= h):
    text = ','.join(map(str, box))
    right = f'0 <= x0 < x1 <= {w} and 0 <= y0 < y1 <= {h}'
    raise ValueError(f'the box {text} is empty or outside the picture; it must have {right}')
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
  highlights: float = 1.0,
  blades: int = 0,
  done: Callable[[float], None] = lambda _: None,
) -> np.ndarray:
  """Renders the photograph as a lens focused at a disparity would take it.

  Args:
    photo: sRGB in [0, 1], [h w 3].
    disparity: normalised disparity [h w 1].
    focus: disparity in focus.
    radius: blur radius in pixels at a disparity difference of 1; 0 returns the photograph.
    learned: the learned renderer; default: the classical renderer.
    hybrid: use the learned renderer near depth edges only, else the classical, see hybrid.py.
    sweep: largest blur in pixels of the animation to which this frame belongs; all its frames then
      use the same lowest level of the pyramid, so that none jumps.
    highlights: factor, at least 1, of the light of pixels out of focus that the sensor has clipped
      in a channel: lamps become bright discs.
    blades: corners of the aperture, at least 3; 0 is a disc, as the blur of the learned renderer.
    done: called after each step with its fraction of the work.

  Returns:
    sRGB in [0, 1], float32 [h w 3].

  Raises:
    ValueError: shapes that do not match; a focus or radius that is not finite, a negative radius;
      a blur above a quarter of the long side, or one for which the lowest level would be smaller
      than 16 pixels; highlights below 1 or not finite; 1 or 2 blades, or any for the learned
      renderer alone; `hybrid` without `learned`.
  """
  _check(photo, disparity, focus, radius, sweep)
  if hybrid and learned is None:
    raise ValueError('the hybrid renderer needs the learned one')
  _check_lens(highlights, blades, round_only=learned is not None and not hybrid)
  photo, disparity = (np.asarray(x, np.float32) for x in (photo, disparity))
  defocus = np.float32(radius) * (disparity - np.float32(focus))
  largest = largest_blur(disparity, focus, radius)
  if largest == 0:
    return photo
  light = photo if highlights == 1 else _boosted(photo, defocus, highlights)
  if learned is None:
    return np.clip(classical.render(light, defocus, done=done, blades=blades), 0, 1)
  count = learned_lib.doublings(photo.shape[:2], max(largest, sweep or 0), learned.radius)
  if hybrid:
    fraction = hybrid_lib.fraction(disparity, defocus, focus, count, learned.radius)
    result = _blended(learned, light, defocus, count, fraction, blades, done)
  else:
    result = np.clip(learned_lib.render(learned, light, defocus, count, done=done), 0, 1)
  if largest < 1 and (not hybrid or fraction.any()):
    # Without any blur the network does not return exactly the photograph, so fade to it.
    result = hybrid_lib.mix(photo, result, np.float32(largest))
  return np.clip(result, 0, 1)


def _blended(
  learned: Learned,
  light: np.ndarray,
  defocus: np.ndarray,
  count: int,
  fraction: np.ndarray,
  blades: int,
  done: Callable[[float], None],
) -> np.ndarray:
  """The hybrid renderer's picture [h w 3]: the learned one's fraction [h w 1], else classical."""
  half = lambda step: done(step / 2)  # noqa: E731
  classic = classical.render(light, defocus, done=half, occlusion=True, blades=blades)
  wanted, classic = fraction > 0, np.clip(classic, 0, 1)
  if not wanted.any():
    return classic
  result = learned_lib.render(learned, light, defocus, count, wanted=wanted, done=half)
  return hybrid_lib.mix(classic, np.clip(result, 0, 1), fraction)


def largest_radius(shape: tuple[int, int], learned: Learned | None = None) -> float:
  """Largest blur radius in pixels that `refocus` renders for a photograph of (h, w) pixels."""
  most = _LARGEST * max(shape)
  return most if learned is None else min(most, learned_lib.largest_radius(shape, learned.radius))


def largest_blur(disparity: np.ndarray, focus: float, radius: float) -> float:
  """Radius in pixels of the largest circle of confusion; arguments as in `refocus`."""
  return radius * float(np.abs(disparity - focus).max())


def _boosted(photo: np.ndarray, defocus: np.ndarray, highlights: float) -> np.ndarray:
  """The photograph with brighter highlights, except where it is in focus."""
  light = colour.srgb_to_linear(photo)
  # By the brightest channel, unlike training scenes: few lamps are white. A ramp, as there.
  clipped = np.clip(10 * light.max(axis=-1, keepdims=True) - 9, 0, 1)
  gain = 1 + (highlights - 1) * clipped * np.minimum(np.abs(defocus), 1)
  return np.asarray(colour.linear_to_srgb(light * gain))


def _check(
  photo: np.ndarray, disparity: np.ndarray, focus: float, radius: float, sweep: float | None
) -> None:
  if photo.shape[:2] != disparity.shape[:2] or photo.ndim != 3 or disparity.ndim != 3:
    raise ValueError(f'photo {photo.shape} and disparity {disparity.shape} differ in size')
  if not 0 <= radius < math.inf:
    raise ValueError(f'the blur radius is {radius:g} pixels; it must be at least 0 and finite')
  if not math.isfinite(focus):
    raise ValueError(f'the focus is at disparity {focus}; it must be finite')
  blur = max(largest_blur(disparity, focus, radius), sweep or 0)
  most = largest_radius(photo.shape[:2])
  if not blur <= most * (1 + 1e-6):  # A radius limited to it may be rounded up.
    right = f'at most {most:g}, a quarter of the long side'
    raise ValueError(f'the blur radius is {blur:.4g} pixels; it must be {right}')


def _check_lens(highlights: float, blades: int, round_only: bool) -> None:
  if not 1 <= highlights < math.inf:
    raise ValueError(f'highlights is {highlights:g}; it must be at least 1 and finite')
  if blades < 0 or blades in (1, 2):
    raise ValueError(f'the aperture has {blades} blades; it must have 0 or at least 3')
  if blades and round_only:
    raise ValueError(
      'the aperture has blades, but the blur of the learned renderer is round; use another one'
    )


def focus_sweep(count: int) -> Iterator[float]:
  """Disparities in focus of a looping animation of `count` frames, from 1 to 0 and back."""
  for i in range(count):
    yield 0.5 + 0.5 * math.cos(2 * math.pi * i / count)


def aperture_sweep(count: int, radius: float) -> Iterator[float]:
  """Blur radii of a looping animation of `count` frames, from 0 to `radius` and back."""
  for i in range(count):
    yield radius * (0.5 - 0.5 * math.cos(2 * math.pi * i / count))
