"""Depth predictions that refinement networks are trained on: the fields of `data.predictions`."""

import dataclasses

from depthjax.data.bounds import bounded, check_fields, fraction


@dataclasses.dataclass(frozen=True)
class PredictionConfig:
  """How depth predictions are simulated, or read; probabilities and fractions in [0, 1].

  Amplitudes are fractions of the range of a map. Fields ending in `_low` are for the consistent
  prediction at low resolution, those in `_high` for the sharp one and the windows.

  Raises ValueError: a field is out of bounds.
  """

  levels: int = bounded(3, 0, 7)  # Levels of windows; level s has (s + 1)^2 of them.
  window_size: int = bounded(128, 16, 4096)  # Height and width of a window's prediction, pixels.
  low: float = bounded(0.22, 0.01, 1.0)  # Resolution, as a fraction of the image's.
  high: float = bounded(0.6, 0.01, 1.0)
  # Both resolutions are divided by random factors in [1, max_coarsening]; high stays >= low.
  max_coarsening: float = bounded(1.0, 1.0, 10.0)
  stereo_targets: float = fraction(0.5)  # Fraction of targets with the blur and holes of stereo.
  augment: bool = True  # Flips, and inverted polarity in a third of the training examples.
  relief: float = fraction(1.0)  # Amplitude of relief, as a fraction of what layer order allows.
  noise: float = bounded(1.0, 0.0, 10.0)  # Factor of all amplitudes below.
  smooth_shared: float = fraction(0.05)  # Smooth error that all predictions of an image share.
  smooth_low: float = fraction(0.02)  # Smooth error of each prediction.
  smooth_high: float = fraction(0.06)
  offset_low: float = fraction(0.02)  # Offsets of regions between edges, patch by patch.
  offset_high: float = fraction(0.07)
  gain_low: float = bounded(0.1, 0.0, 4.0)  # Relative error of the relief within a region.
  gain_high: float = bounded(0.5, 0.0, 4.0)
  patch_low: float = bounded(0.5, 0.01, 1.0)  # Size of the patches, as a fraction of the image's.
  patch_high: float = bounded(0.5, 0.01, 1.0)
  edge_low: float = bounded(0.2, 0.0, 4.0)  # Gaussians on edges, as a fraction of the edge's step.
  edge_high: float = bounded(0.2, 0.0, 4.0)
  white_low: float = fraction(0.0)  # Largest std of white noise; half of the records have none.

  def __post_init__(self):
    check_fields(self)
    if not isinstance(self.augment, bool):
      raise ValueError(f'augment is {self.augment!r}; it must be true or false')
    if not self.low <= self.high:
      raise ValueError(f'low is {self.low}; it must be at most high, which is {self.high}')
