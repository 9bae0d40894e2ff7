"""Records of mask-guided refinement: the fields of `data.masked`."""

import dataclasses

from depthjax.data.bounds import bounded, check_fields, fraction

# Fields that are ranges, with their largest value.
_RANGES = {'closing': 128.0, 'thin': 64.0, 'gap': 1.0, 'span': 10.0}


@dataclasses.dataclass(frozen=True)
class MaskedConfig:
  """Masks, and errors of the map beneath them; probabilities and fractions in [0, 1].

  Lengths are pixels at a long side of 320. The errors are numbered: P1 (resolution) and P6 (local
  errors) are those of the low prediction of `data.predictions`; P2 (wrong silhouettes) and P3
  (their blur) also have the fields corruption, corruption_radius, corruption_sigma of `data`.

  Raises ValueError: a field is out of bounds.
  """

  background: float = fraction(0.2)  # Fraction of masks of what lies behind, such as the sky.
  hard: float = fraction(0.5)  # Fraction of masks that are 0 or 1 everywhere.
  displaced: float = fraction(0.5)  # P2: fraction of silhouettes that are warped smoothly.
  displacement: float = bounded(2.0, 0.0, 32.0)  # Largest std of the warp.
  filled: float = fraction(0.5)  # P4: fraction of silhouettes whose holes are filled.
  hole: float = fraction(0.05)  # Largest hole that is filled, as a fraction of the frame.
  closing: tuple[float, float] = (5.0, 25.0)  # Range of the radius of filled concavities.
  thinned: float = fraction(0.3)  # P5: fraction of silhouettes that lose their thin parts.
  thin: tuple[float, float] = (2.0, 6.0)  # Range of the width of these.
  gain: float = bounded(0.2, 0.0, 0.9)  # P7: the range of a record's maps is 1 - gain to 1.
  offset: float = fraction(0.05)  # P7: largest disparity of the farthest visible point.
  jittered: float = fraction(0.3)  # P8: fraction of masks with errors.
  shift: float = bounded(1.0, 0.0, 32.0)  # Largest shift of such a mask.
  blur: float = bounded(1.0, 0.0, 32.0)  # Largest std of its blur.
  # Of two photos with disparity, composited.
  crop: float = bounded(0.5, 0.05, 1.0)  # Smallest crop, as a fraction of each side.
  nearer: float = fraction(0.8)  # Fraction of pairs whose first photo is moved before the second.
  gap: tuple[float, float] = (0.03, 0.4)  # Range of the least disparity between these.
  span: tuple[float, float] = (0.2, 1.0)  # Range of the first's disparity; that of the second is 1.

  def __post_init__(self):
    check_fields(self)
    for name, high in _RANGES.items():
      object.__setattr__(self, name, pair := tuple(getattr(self, name)))
      if len(pair) != 2 or not 0 <= pair[0] <= pair[1] <= high:
        raise ValueError(f'{name} is {pair}; it must be (low, high) within [0, {high}]')
