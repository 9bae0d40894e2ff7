"""Values of depth maps as disparity: conventions, missing and infinitely far pixels, range."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

Convention = Literal['disparity', 'depth', 'inverted']
CONVENTIONS = {
  'disparity': 'near is large',
  'depth': 'far is large, disparity = 1 / depth',
  'inverted': 'far is large, disparity = maximum - value, such as 0 near to 1 far',
}

# A plateau of depths above the first multiple of nearer depths is infinitely far, or any depths
# above the second: scenes have no such gaps.
_PLATEAU, _GAP = 100, 10_000
# Pixels of the sample in which the plateau is searched.
_SAMPLE = 1_000_000
# Fraction of the pixels at each end that must not decide the range.
_TAIL = 1e-3
# Above this ratio of largest to smallest, values are hardly depths of a scene.
_RATIO = 1000


class Disparity(NamedTuple):
  """Disparity of any range, and masks of its pixels; all [h w]."""

  values: np.ndarray  # float32, finite where valid.
  valid: np.ndarray  # False where missing.
  far: np.ndarray  # True where valid and infinitely far.


def to_disparity(
  raw: np.ndarray, convention: Convention, invalid: float | Sequence[float] | None
) -> Disparity:
  """Disparity of raw values, float32 [h w]; see depth.normalise."""
  valid = ~np.isnan(raw)
  if invalid is not None:
    valid &= ~np.isin(raw, np.asarray(invalid, np.float32))
  if convention == 'disparity':
    return Disparity(raw, valid & np.isfinite(raw), np.zeros_like(valid))
  far = valid & np.isposinf(raw)
  if convention == 'inverted':
    values = -np.minimum(raw, raw[valid & ~far].max(initial=-np.inf))
  else:
    valid &= raw > 0
    # The inverse of the smallest float32 numbers is infinite: they are invalid as 0 is.
    with np.errstate(divide='ignore', over='ignore', invalid='ignore'):
      values = 1 / raw
    far |= valid & (raw > _limit(raw[valid & ~far]))
    values = np.where(far, np.float32(0), values)
  valid &= np.isfinite(values)
  return Disparity(values, valid, far & valid)


def _limit(depths: np.ndarray) -> float:
  """The depth above which pixels are infinitely far; inf if no such plateau is found.

  Sorted depths are split at the largest ratio of a depth to the 99th percentile of those before,
  which tolerates 1 % of interpolated pixels in between. At least 1 % of the pixels are not far.
  """
  z = np.sort(depths[:: depths.size // _SAMPLE + 1]).astype(np.float64)
  first = np.arange(max(1, z.size // 100), z.size)
  if not first.size:
    return np.inf
  nearer = z[(0.99 * (first - 1)).astype(int)]
  ratios = z[first] / nearer
  split = np.argmax(ratios)
  far = z[first[split] :]
  is_plateau = far[far.size * 9 // 10] <= 1.01 * far[far.size // 10]
  # A few tiny depths, such as 1e-4 for missing ones, do not make a scene infinitely far.
  is_far = ratios[split] > (_PLATEAU if is_plateau else _GAP)
  is_far &= is_plateau or first[split] > 0.2 * z.size
  return _PLATEAU * nearer[split] if is_far else np.inf


def used_range(
  values: np.ndarray, percentiles: tuple[float, float] | None = None
) -> tuple[float, float]:
  """The disparities that become 0 and 1, of valid values [n].

  By default the exact range, unless the outermost 0.1 % of the pixels at the two ends together more
  than double it: then without values that lie outside of the percentiles 0.1 and 99.9 by more than
  half of their distance.
  """
  if percentiles is not None:
    low, high = np.percentile(values, percentiles)
    return float(low), float(high)
  low, high = float(values.min()), float(values.max())
  # At least one pixel at each end, however small the map.
  ends = int(np.ceil(_TAIL * (values.size - 1))), int((1 - _TAIL) * (values.size - 1))
  a, b = np.partition(values, ends)[list(ends)].astype(np.float64)
  core = b - a
  if high - low <= 2 * core or core <= 1e-6 * max(abs(a), abs(b)):
    return low, high
  kept = values[(values >= a - core / 2) & (values <= b + core / 2)]
  return float(kept.min()), float(kept.max())


def in_units(disparity: np.ndarray, convention: Convention) -> np.ndarray:
  """Converts disparity back to the values of a convention; the depth of disparity 0 is inf."""
  if convention == 'depth':
    with np.errstate(divide='ignore'):
      return 1 / disparity
  return -disparity if convention == 'inverted' else disparity


def summary(
  raw: np.ndarray,
  found: Disparity,
  used: tuple[float, float],
  convention: Convention,
  invalid: float | Sequence[float] | None = None,
) -> str:
  """Describes a map for its user: range, missing, far and clipped pixels, and what is unusual."""
  values = raw[found.valid & ~found.far]
  low, high = values.min(), values.max()
  beyond = found.valid & ((found.values < used[0]) | (found.values > used[1]))
  a, b = sorted(in_units(np.array(used, np.float64), convention))
  result = f'{convention} from {low:.6g} to {high:.6g}'
  for mask, text in (
    (~found.valid, 'missing and filled (nearest valid)'),
    (found.far, 'infinitely far'),
    (beyond, f'outside of {a:.6g} to {b:.6g} and clipped (see --range)'),
  ):
    if mask.any():
      result += f', {percent(mask)} {text}'
  if _narrow(found.values[found.valid], used):
    result += '; 99 % of the pixels lie in less than a tenth of the range, see --range'
  if convention == 'depth':
    zeros = (raw == 0).any() and not (invalid is not None and np.isin(0, invalid))
    doubts = ['0 counts as missing'] if zeros else []
    if high > _RATIO * low:
      doubts.append(f'the largest is {high / low:.0f} times the smallest')
    if doubts:
      result += f'; {", ".join(doubts)}: if 0 is near in it, give --convention=inverted'
  return result


def percent(mask: np.ndarray) -> str:
  """The percentage of the pixels of a mask that are true, for messages."""
  result = 100 * np.count_nonzero(mask) / mask.size
  return 'less than 0.1 %' if result < 0.05 else f'{result:.1f} %'


def _narrow(values: np.ndarray, used: tuple[float, float]) -> bool:
  """Whether 99 % of the values lie in less than a tenth of the range."""
  low, high = used
  sample = values[:: values.size // _SAMPLE + 1]
  a, b, c, d = np.clip(np.percentile(sample, (0.5, 1, 99, 99.5)), low, high)
  return min(c - low, d - a, high - b) < 0.1 * (high - low)
