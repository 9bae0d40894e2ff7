"""What predictions a refinement network is trained on: every choice with its range."""

import dataclasses

from depthjax.data.scenes.config import check


@dataclasses.dataclass(frozen=True)
class PredictionConfig:
  """What predictions are simulated, or read; shares and probabilities in [0, 1].

  Amplitudes are shares of a map's range; those of `high` are those of windows, too.

  Attributes:
    levels: of windows, 0 to 7; level s has (s + 1)^2 of them.
    window_size: of the prediction of a window, px.
    low, high: resolution of the two predictions of the whole picture, shares of its side.
    max_coarsening: each of these is divided by a random factor in [1, max_coarsening]; the high one
      stays at least as fine as the low one.
    stereo_targets: share of targets that are what stereo makes of the truth.
    augment: whether training flips and inverts its examples.
    relief: how far surfaces of drawn scenes leave their planes, as a share of the room that they
      have.
    noise: amplitude of all errors; 0 leaves the loss of resolution alone.
    smooth_shared: the smooth error that all predictions of a picture share.
    smooth_low, smooth_high: the smooth error of each.
    offset_low, offset_high: inconsistency between regions.
    gain_low, gain_high: of the factor of a region's own relief, no share of a range.
    patch_low, patch_high: side of the patches of that, shares of the picture's.
    edge_low, edge_high: Gaussians on edges, shares of the step there.
    white_low: white noise of the low prediction at its own resolution, as a sensor's is: the
      largest deviation; half of the records have none.
  """

  levels: int = 3
  window_size: int = 128
  low: float = 0.22
  high: float = 0.6
  max_coarsening: float = 1.0
  stereo_targets: float = 0.5
  augment: bool = True
  relief: float = 1.0
  noise: float = 1.0
  smooth_shared: float = 0.05
  smooth_low: float = 0.02
  smooth_high: float = 0.06
  offset_low: float = 0.02
  offset_high: float = 0.07
  gain_low: float = 0.1
  gain_high: float = 0.5
  patch_low: float = 0.5
  patch_high: float = 0.5
  edge_low: float = 0.2
  edge_high: float = 0.2
  white_low: float = 0.0

  def __post_init__(self):
    for name, (low, high) in _BOUNDS.items():
      check(name, getattr(self, name), low, high)
    if not isinstance(self.augment, bool):
      raise ValueError(f'augment is {self.augment!r}; it must be true or false')
    if not self.low <= self.high:
      raise ValueError(f'low is {self.low}; it must be at most high, which is {self.high}')


_BOUNDS = {
  'levels': (0, 7),
  'window_size': (16, 4096),
  'low': (0.01, 1.0),
  'high': (0.01, 1.0),
  'max_coarsening': (1.0, 10.0),
  'stereo_targets': (0.0, 1.0),
  'relief': (0.0, 1.0),
  'noise': (0.0, 10.0),
  'smooth_shared': (0.0, 1.0),
  **{
    f'{kind}_{which}': (0.0, high)
    for kind, high in {'smooth': 1.0, 'offset': 1.0, 'gain': 4.0, 'edge': 4.0}.items()
    for which in ('low', 'high')
  },
  'white_low': (0.0, 1.0),
  'patch_low': (0.01, 1.0),
  'patch_high': (0.01, 1.0),
}
