"""Refocused photographs against real or rendered ones of a wide aperture: arrays in, numbers out.

`photo` and `target` are sRGB in [0, 1], [h w 3]; `disparity` [h w 1] is in [0, 1], 1 the nearest.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from depthjax.files import depth
from depthjax.metrics import image as image_metrics
from depthjax.ops import colour, resize
from depthjax.pipelines import refocus

# Where the lens of a picture is not known it is searched for, at about this long side.
_SEARCHED = 320
_FOCUSES = tuple(i / 8 for i in range(9))
_APERTURES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


class Lens(NamedTuple):
  """Focus and radius as refocus.refocus takes them, for a normalised disparity."""

  focus: float
  radius: float


def score_record(
  record: dict[str, Any], learned: refocus.Learned | None = None
) -> dict[str, float]:
  """Scores of a pair with disparity: `score` with the lens that took it.

  A record with `blur` and `focus` (BLB) says which; else each renderer gets the lens of its own
  that suits it best, `find_lens`, as is usual for photographs (EBB!).

  Args:
    record: `image`, `target`, `disparity`, `valid` and perhaps `blur` and `focus`, as
      data.records.open_pairs gives them.
    learned: the learned renderer; without, only the classical one is scored.

  Returns:
    psnr and ssim of `sharp` (the photograph as it is) and each renderer, such as 'psnr/classical'.

  Raises:
    ValueError: no disparity, constant disparity, or a blur too large for the photograph.
  """
  if 'disparity' not in record:
    raise ValueError(f'the record has no disparity; it has {", ".join(record)}')
  photo, target, valid = record['image'], record['target'], record['valid'] > 0
  raw = np.where(valid, record['disparity'], np.nan)[..., 0]
  disparity = depth.normalise(raw).disparity
  known = lens_of(raw, record['blur'], record['focus']) if 'blur' in record else None
  scores = {}
  for renderer in (None, learned)[: 1 + (learned is not None)]:
    lens = known or find_lens(photo, target, disparity, learned=renderer)
    scores |= score(photo, target, disparity, lens, learned=renderer)
  return scores


def score(
  photo: np.ndarray,
  target: np.ndarray,
  disparity: np.ndarray,
  lens: Lens,
  *,
  learned: refocus.Learned | None = None,
) -> dict[str, float]:
  """PSNR (dB) and SSIM against the target, of the photograph as it is and refocused by a lens.

  Returns:
    'psnr/sharp', 'ssim/sharp', and the same for 'learned' or, without it, 'classical'.

  Raises:
    ValueError: sizes that differ; as refocus.refocus; less than 11 pixels on a side.
  """
  if photo.shape != target.shape:
    raise ValueError(f'photo {photo.shape} and target {target.shape} differ in size')
  blurred = render(photo, disparity, lens, learned)
  pictures = {'sharp': photo, 'classical' if learned is None else 'learned': blurred}
  return {
    f'{metric}/{name}': float(function(picture[None], target[None])[0])
    for name, picture in pictures.items()
    for metric, function in (('psnr', image_metrics.psnr), ('ssim', image_metrics.ssim))
  }


def lens_of(disparity: np.ndarray, blur: float, focus: float) -> Lens:
  """The lens whose signed blur radius is blur * (disparity - focus) pixels.

  Args:
    disparity: not normalised, NaN where unknown, [h w].
    blur: pixels for a unit of this disparity.
    focus: in the same unit, within the range of the disparities.

  Raises:
    ValueError: the focus is outside of the scene.
  """
  low, high = float(np.nanmin(disparity)), float(np.nanmax(disparity))
  if not low < high:
    raise ValueError(f'the disparity is constant ({low:g}); it must vary')
  at = (focus - low) / (high - low)
  if not -0.05 <= at <= 1.05:
    raise ValueError(f'the focus {focus:g} is outside of the scene, {low:g} to {high:g}')
  return Lens(at, float(blur) * (high - low))


def find_lens(
  photo: np.ndarray,
  target: np.ndarray,
  disparity: np.ndarray,
  *,
  learned: refocus.Learned | None = None,
  focuses: Sequence[float] = _FOCUSES,
  apertures: Sequence[float] = _APERTURES,
) -> Lens:
  """The lens of those offered that makes the photograph most like the target, by SSIM.

  All pictures are first reduced by a whole factor to a long side of about 320 pixels.
  """
  factor = max(1, round(max(photo.shape[:2]) / _SEARCHED))
  small = [_reduced(picture, factor) for picture in (photo, target)]
  near = np.asarray(resize.downsample(_cropped(disparity, factor), factor))
  shape = small[0].shape[:2]
  offered = [Lens(at, refocus.radius_of(a, shape)) for a in apertures for at in focuses]
  likeness = functools.partial(_likeness, *small, near, learned)
  best = max(offered, key=likeness)
  return best._replace(radius=best.radius * factor)


def _likeness(photo, target, disparity, learned, lens: Lens) -> float:
  return float(image_metrics.ssim(render(photo, disparity, lens, learned)[None], target[None])[0])


def render(
  photo: np.ndarray,
  disparity: np.ndarray,
  lens: Lens,
  learned: refocus.Learned | None = None,
) -> np.ndarray:
  """The photograph through the lens; errors as refocus.refocus."""
  return refocus.refocus(photo, disparity, **lens._asdict(), learned=learned)


def _cropped(values, factor: int):
  h, w = values.shape[:2]
  return jnp.asarray(values[: h // factor * factor, : w // factor * factor])


def _reduced(picture, factor: int) -> np.ndarray:
  """The mean over factor x factor pixels, of light."""
  light = colour.srgb_to_linear(_cropped(picture, factor))
  return np.asarray(colour.linear_to_srgb(resize.downsample(light, factor)))
